"""The style sheet of the report: one column of text with the contents beside it where there is room, light and dark, screen and paper."""

STYLE = """\
:root {
  color-scheme: light dark;
  --ground: #fdfdfb; --card: #f4f4f0; --ink: #1c1e21; --quiet: #5d636b; --rule: #d9d9d2; --edge: #0003; --accent: #0a62a8;
  --c0: #0a62a8; --c1: #c4570a; --c2: #15804f; --c3: #a8307f; --c4: #7d6400; --c5: #0b8390; --c6: #bf3326; --c7: #6150c8;
  --sub: #9a5b00; --sub-ground: #fdf0d5; --del: #b3261e; --del-ground: #fbe3e1; --ins: #1553b0; --ins-ground: #e1ecfb;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #15171a; --card: #1f2226; --ink: #e4e6e8; --quiet: #9aa1a9; --rule: #363b41; --edge: #0009; --accent: #6db3f2;
    --c0: #6db3f2; --c1: #f39a55; --c2: #5cc795; --c3: #e58ac4; --c4: #d1b64a; --c5: #5cc8d3; --c6: #f08377; --c7: #a99cf5;
    --sub: #f0b95c; --sub-ground: #3a2c10; --del: #f5877e; --del-ground: #40191a; --ins: #82b4f7; --ins-ground: #17294a;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 84rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1, h2, h3, h4, h5 { line-height: 1.25; text-wrap: balance; }
h1 { font-size: 1.9rem; margin: 0 0 .4rem; letter-spacing: -.01em; }
h2 { font-size: 1.45rem; margin: 3.2rem 0 1rem; padding-top: .9rem; border-top: 2px solid var(--ink); scroll-margin-top: .5rem; }
h3 { font-size: 1.12rem; margin: 2.2rem 0 .6rem; }
h4 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
h5 { font-size: .85rem; margin: 0 0 .1rem; overflow-wrap: anywhere; }
p, li { max-width: 44rem; }
p { margin: .6rem 0; text-wrap: pretty; }
a { color: var(--accent); }
code { font: .88em ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.quiet, figcaption { color: var(--quiet); font-weight: 400; }
.lead { font-size: 1.08rem; }
nav ol { margin: .4rem 0 0; padding-left: 1.4rem; }
nav li { margin: .15rem 0; }
nav a { text-decoration: none; }
nav a:hover { text-decoration: underline; }
@media (min-width: 72rem) {
  body { display: grid; grid-template-columns: 13rem minmax(0, 1fr); column-gap: 3rem; padding-top: 2.5rem; }
  header { grid-column: 2; }
  nav { grid-column: 1; grid-row: 1 / span 2; position: sticky; top: 2.5rem; align-self: start; font-size: .92rem; }
  main { grid-column: 2; }
}

.scroll { overflow-x: auto; margin: .8rem 0; max-width: 100%;
  background: linear-gradient(to right, var(--ground) 35%, transparent) left / 2.4rem 100% local,
    linear-gradient(to left, var(--ground) 35%, transparent) right / 2.4rem 100% local,
    linear-gradient(to right, var(--edge), transparent) left / .8rem 100%, linear-gradient(to left, var(--edge), transparent) right / .8rem 100%;
  background-repeat: no-repeat; }
.scroll:focus-visible { outline: 2px solid var(--accent); }
.wide { min-width: 44rem; }
table { border-collapse: collapse; font-size: .84rem; line-height: 1.35; font-variant-numeric: tabular-nums; }
th, td { padding: .32rem .45rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--rule); }
th { font-weight: 600; vertical-align: bottom; border-bottom: 1.5px solid var(--ink); }
.n { text-align: right; }
td.n, td.s { white-space: nowrap; }
td:first-child, th:first-child { position: sticky; left: 0; background: var(--ground); padding-left: 0; min-width: 9.5rem; }
td.s:first-child, th.s:first-child { min-width: 0; }
tbody tr:hover td { background: var(--card); }

figure { margin: 1.2rem 0; }
figcaption { font-size: .88rem; max-width: 44rem; margin-top: .3rem; }
svg { display: block; width: 100%; height: auto; overflow: visible; font: 12px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; }
svg text { fill: var(--ink); }
svg .tick { fill: var(--quiet); font-size: 11px; }
svg .name { font-weight: 600; }
svg .number { font-size: 11px; font-weight: 600; }
svg .inword { font-size: 11px; }
.grid { stroke: var(--rule); stroke-width: 1; fill: none; }
.axis { stroke: var(--quiet); stroke-width: 1; fill: none; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.line.thin { stroke-width: 1.2; }
.dash1 { stroke-dasharray: 6 4; } .dash2 { stroke-dasharray: 2 4; } .dash3 { stroke-dasharray: 9 3 2 3; }
.line.c0 { stroke: var(--c0); } .line.c1 { stroke: var(--c1); } .line.c2 { stroke: var(--c2); } .line.c3 { stroke: var(--c3); }
.line.c4 { stroke: var(--c4); } .line.c5 { stroke: var(--c5); } .line.c6 { stroke: var(--c6); } .line.c7 { stroke: var(--c7); }
.dot.c0, .right { fill: var(--c0); } .dot.c1, .wrong { fill: var(--c1); }
.field { fill: none; stroke: var(--rule); }
.decay { stroke: var(--quiet); stroke-width: 1; stroke-dasharray: 2 3; }
.rollback { fill: var(--c6); }
.border { stroke: #fff; stroke-width: .7; stroke-opacity: .75; fill: none; }
.word { fill: var(--card); stroke: var(--rule); }
.pixels { image-rendering: pixelated; }
img.paper { display: block; max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(19rem, 100%), 1fr)); gap: 1.2rem 2rem; }
.panels figure { margin: 0; display: flex; flex-direction: column-reverse; justify-content: flex-end; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: 1rem 2rem; }
.three { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(15rem, 100%), 1fr)); gap: 0 2rem; }
.beside { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: 1rem 2rem; align-items: start; }
.numbers { margin: 0; font-size: .9rem; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; margin: .6rem 0 0; font-size: .88rem; }
.legend li { display: flex; align-items: center; gap: .4rem; }
.key { width: 24px; height: 10px; }

.wer { list-style: none; margin: 0; padding: 0; font-size: .9rem; font-variant-numeric: tabular-nums; }
.wer li { display: grid; grid-template-columns: minmax(0, 17rem) 1fr 3.2rem; gap: .8rem; align-items: center; max-width: none; padding: .1rem 0; }
.track { position: relative; height: 1.25rem; background: linear-gradient(var(--rule), var(--rule)) center / 100% 1px no-repeat; }
.track i { position: absolute; top: .4rem; height: .45rem; background: var(--c0); opacity: .35; border-radius: .2rem; }
.track b { position: absolute; top: .25rem; width: .75rem; height: .75rem; margin-left: -.375rem; border-radius: 50%; background: var(--c0); }
.scale .track { background: linear-gradient(var(--quiet), var(--quiet)) top / 100% 1px no-repeat; }
.track u { position: absolute; top: .15rem; transform: translateX(-50%); text-decoration: none; color: var(--quiet); font-size: .8rem; }
@media (max-width: 40rem) {
  .wer li { grid-template-columns: 1fr 3.2rem; gap: 0 .6rem; }
  .wer li > span:first-child { grid-column: 1 / -1; }
  h1 { font-size: 1.5rem; } h2 { font-size: 1.25rem; }
  td:first-child, th:first-child { min-width: 7rem; max-width: 9rem; }
}

details { border-bottom: 1px solid var(--rule); }
summary { padding: .5rem 0; cursor: pointer; }
.utt { padding: .5rem 0 .7rem; border-top: 1px solid var(--rule); }
.said { margin: .15rem 0 0; max-width: none; line-height: 1.2; }
.said > span { display: inline-grid; vertical-align: top; margin: 0 .1rem .25rem 0; padding: .05rem .22rem; border-radius: 3px; font-size: .92rem; }
.said b, .said i, .said u { font-style: normal; font-weight: 400; text-decoration: none; }
.said u { font-size: .68rem; color: var(--quiet); font-variant-numeric: tabular-nums; }
.said i { font-size: .9em; }
.said .S { background: var(--sub-ground); } .said .S i { color: var(--sub); font-weight: 600; }
.said .D { background: var(--del-ground); } .said .D b { color: var(--del); text-decoration: line-through; } .said .D i { color: var(--del); }
.said .I { background: var(--ins-ground); } .said .I i { color: var(--ins); font-weight: 600; }
.said .by { display: block; padding: 0; color: var(--quiet); font-size: .8rem; margin: .2rem 0 .1rem; }
.sample > span { border: 1px solid var(--rule); }

@media print {
  body { display: block; max-width: none; padding: 0; font-size: 10pt; }
  nav { position: static; }
  .scroll { overflow: visible; } .wide { min-width: 0; }
  table { font-size: 7pt; } th, td { padding: .15rem .3rem; } td:first-child, th:first-child { position: static; min-width: 0; }
  h2 { break-after: avoid; } figure, tr { break-inside: avoid; }
}
"""
