"""A small telephone corpus spoken by a synthesizer, written in the layout of the LDC's Switchboard releases."""
