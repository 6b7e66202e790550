"""The look of the report: one style sheet, no scripts, no fonts, nothing from elsewhere."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f6f3; --card: #ffffff; --ink: #1d2129; --muted: #626873; --line: #e1e2de;
  --accent: #d6135f; --well: #eceeea;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #14161a; --card: #1d2026; --ink: #eceef2; --muted: #9aa1ad; --line: #333842;
    --accent: #ff5c98; --well: #101216;
  }
}
* { box-sizing: border-box; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  -webkit-text-size-adjust: 100%;
}
main, header, footer { max-width: 1180px; margin: 0 auto; padding: 0 clamp(14px, 3vw, 32px); }
header { padding-top: clamp(28px, 5vw, 60px); padding-bottom: 12px; }
h1 {
  font-size: clamp(1.7rem, 4.2vw, 2.6rem); line-height: 1.12; letter-spacing: -0.02em;
  margin: 0 0 0.5em; text-wrap: balance;
}
.lead { font-size: clamp(1.02rem, 1.6vw, 1.15rem); max-width: 46em; margin: 0 0 1.6em; }
.cards {
  display: grid; gap: 14px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 250px), 1fr));
}
.cards section {
  border-top: 3px solid var(--accent); background: var(--card); padding: 14px 18px 16px;
  border-radius: 0 0 10px 10px;
}
.cards.plain {
  margin-top: 14px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr));
}
.plain section { border: 1px solid var(--line); border-radius: 10px; background: none; }
.cards h2 { font-size: 1rem; margin: 0 0 0.35em; }
.cards p { margin: 0; color: var(--muted); font-size: 0.93rem; }
.legend {
  display: flex; flex-wrap: wrap; gap: 4px 18px; list-style: none; margin: 16px 0 0; padding: 0;
  color: var(--muted); font-size: 0.9rem;
}
.legend span {
  display: inline-block; width: 1em; height: 1em; margin-right: 0.45em; border-radius: 3px;
  vertical-align: -0.12em;
}
article {
  background: var(--card); border: 1px solid var(--line); border-radius: 14px;
  margin: 22px 0; padding: clamp(14px, 2vw, 24px);
}
.name { display: flex; flex-wrap: wrap; gap: 4px 16px; align-items: baseline; margin-bottom: 12px; }
.name h2 { font-size: 1.15rem; margin: 0; overflow-wrap: anywhere; }
.name span { color: var(--muted); font-size: 0.9rem; font-variant-numeric: tabular-nums; }
.name span b { color: var(--accent); font-weight: 600; }
figure { margin: 0; min-width: 0; }
figcaption { color: var(--muted); font-size: 0.86rem; margin-top: 6px; }
.picture:not(:popover-open) {
  display: block; position: static; inset: auto; width: auto; height: auto; padding: 0; border: 0;
  background: none; color: inherit; overflow: visible;
}
.picture button {
  display: block; width: 100%; padding: 0; border: 0; border-radius: 8px; background: none;
  color: inherit; font: inherit; cursor: zoom-in;
}
.picture:popover-open {
  position: fixed; inset: 0; width: auto; height: auto; margin: 0; padding: 12px; border: 0;
  display: flex; flex-direction: column; background: var(--page); color: var(--ink);
}
.picture:popover-open button { flex: 1 1 0; min-height: 0; cursor: zoom-out; }
.picture:popover-open .frame { height: 100%; aspect-ratio: auto; background: none; }
.picture:popover-open figcaption { flex: none; font-size: 1rem; text-align: center; }
.frame {
  display: block; width: 100%; aspect-ratio: var(--ratio, 1); object-fit: contain;
  background: var(--well); border-radius: 8px;
}
.pictures { display: grid; gap: 14px; grid-template-columns: repeat(2, minmax(0, 1fr)); }
.inside {
  display: grid; gap: 18px; margin-top: 20px; padding-top: 18px; border-top: 1px solid var(--line);
}
.inside h3 { font-size: 0.95rem; margin: 0 0 8px; }
.maps { display: grid; gap: 10px; grid-template-columns: repeat(3, minmax(0, 1fr)); }
.chosen .frame { outline: 2.5px solid var(--accent); outline-offset: 2px; }
.chosen figcaption { color: var(--accent); font-weight: 600; }
.curve { display: block; width: 100%; max-width: 560px; height: auto; }
.curve text { font: 12px system-ui, sans-serif; fill: var(--muted); }
.curve .mark { font-size: 13px; font-weight: 600; fill: var(--accent); }
.next { margin: 34px 0 22px; }
.next h2 { font-size: 1.15rem; margin: 0 0 8px; }
.next dl { margin: 0; }
.next dt { margin-top: 10px; }
.next dd { margin: 2px 0 0; }
.next code {
  display: inline-block; padding: 3px 8px; background: var(--well); border-radius: 6px;
}
.note { color: var(--muted); margin: 0; }
footer { color: var(--muted); font-size: 0.88rem; padding-top: 10px; padding-bottom: 48px; }
code { font-size: 0.92em; overflow-wrap: anywhere; }
@media (max-width: 859px) {
  .pictures figure:first-child:nth-last-child(odd) { grid-column: 1 / -1; }
}
@media (min-width: 860px) {
  .pictures { grid-template-columns: repeat(var(--count, 3), minmax(0, 1fr)); }
  .inside { grid-template-columns: minmax(0, 5fr) minmax(0, 7fr); gap: 32px; }
  .inside.fixed { grid-template-columns: minmax(0, 1fr); gap: 18px; }
  .fixed .maps { grid-template-columns: repeat(6, minmax(0, 1fr)); }
}
@media print {
  article, .cards section { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  .frame, .legend span { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
