"""The report of an experiment as one HTML file: text, pictures and style in it, no script, nothing fetched."""
