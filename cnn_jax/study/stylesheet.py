"""The look of ``report.html``: one style sheet, light and dark, wide and narrow.

On a narrow screen a row of the results table becomes a card: each cell carries its heading
in ``data-label``. Figures stay on white in the dark, their colours were chosen for it.
"""

CSS = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --panel: #f5f6f8; --ink: #1b1f24; --soft: #59636e; --line: #d9dee4;
  --accent: #0b5c94; --worse: #a33d00; --worse-back: #fdeee3;
  --better: #00664a; --better-back: #e2f4ec; --open-back: #eceff2;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --panel: #1d2126; --ink: #e7eaee; --soft: #a0a9b4; --line: #343b43;
    --accent: #7cc0f0; --worse: #ffb088; --worse-back: #45240f;
    --better: #7fdcb8; --better-back: #0f3a2c; --open-back: #2a3037;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
main { max-width: 1200px; margin: 0 auto; padding: 2.2rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0.2rem 0 0.6rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 0.7rem; }
p, li, dd { max-width: 76ch; overflow-wrap: anywhere; }
a { color: var(--accent); }
code, pre { font: 0.9em/1.5 ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace; }
code { background: var(--open-back); border-radius: 4px; padding: 0.08em 0.35em;
       white-space: nowrap; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: 8px;
      padding: 0.7rem 0.9rem; margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.kicker, .source, .caption, figcaption, .detail { color: var(--soft); }
.kicker { margin: 0; font-size: 0.85rem; letter-spacing: 0.02em; }
.question { font-size: 1.2rem; margin: 0; }
.source { margin: 0.25rem 0 0; font-size: 0.9rem; }
.answer { background: var(--panel); border-left: 4px solid var(--accent);
          border-radius: 0 8px 8px 0; padding: 0.2rem 1.2rem 0.4rem; margin: 1.6rem 0 0; }
.answer h2 { margin: 0.8rem 0 0.3rem; font-size: 1rem; }
.answer p { margin: 0.35rem 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.35rem 1.2rem;
     margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; min-width: 0; }
dd code { white-space: normal; }
.notes { padding-left: 1.2rem; }
.notes li { margin: 0.4rem 0; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: separate; border-spacing: 0; width: 100%; font-size: 0.86rem;
        font-variant-numeric: tabular-nums; }
th, td { padding: 0.5rem 0.6rem; text-align: right; vertical-align: top;
         border-bottom: 1px solid var(--line); }
td { white-space: nowrap; }
tbody tr:last-child > * { border-bottom: 0; }
thead th { font-weight: 600; color: var(--soft); vertical-align: bottom; line-height: 1.25;
           background: var(--panel); }
th.group { text-align: center; white-space: nowrap; color: var(--ink); border-bottom: 0; }
.starts { border-left: 1px solid var(--line); }
th:first-child, td.left { text-align: left; }
tbody th { position: sticky; left: 0; background: var(--paper); font-weight: 600;
           white-space: nowrap; }
.detail { display: block; font-size: 0.9em; white-space: nowrap; font-weight: 400; }
.remark { white-space: normal; min-width: 9em; }
.verdict { display: inline-block; border-radius: 999px; padding: 0.05rem 0.55rem;
           background: var(--open-back); color: var(--soft); white-space: nowrap; }
.verdict.worse { background: var(--worse-back); color: var(--worse); }
.verdict.better { background: var(--better-back); color: var(--better); }
.baseline > * { background: var(--panel) !important; }
.figures { display: grid; grid-template-columns: 1fr 1fr; gap: 1.4rem; align-items: start; }
figure { margin: 1.4rem 0 0; min-width: 0; max-width: 680px; }
figure img { display: block; width: 100%; height: auto; background: #fff;
             border: 1px solid var(--line); border-radius: 8px; padding: 0.8rem; }
figcaption { font-size: 0.9rem; margin-top: 0.5rem; max-width: 76ch; }
details > summary { cursor: pointer; font-weight: 600; margin: 2.4rem 0 0.7rem;
                    font-size: 1.2rem; }
@media (max-width: 960px) { .figures { grid-template-columns: 1fr; gap: 0; } }
@media (max-width: 760px) {
  main { padding: 1.3rem 0.9rem 3rem; }
  h1 { font-size: 1.5rem; }
  .question { font-size: 1.08rem; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dt { font-size: 0.85rem; margin-top: 0.5rem; }
  figure img { padding: 0.3rem; }
  h2 { margin-top: 2rem; }
  .cards { overflow: visible; border: 0; }
  .cards table, .cards tbody { display: block; }
  .cards thead { display: none; }
  .cards tr { display: block; border: 1px solid var(--line); border-radius: 10px;
              margin: 0 0 0.8rem; padding: 0.2rem 0.8rem; }
  .cards tbody th { position: static; display: block; text-align: left; font-size: 1.05rem;
                    padding: 0.5rem 0; border-bottom: 1px solid var(--line); }
  .cards tbody th .detail { display: inline; margin-left: 0.5rem; }
  .cards td, .cards td.left { display: flex; justify-content: space-between; gap: 1rem;
              text-align: right; padding: 0.35rem 0; border-left: 0; }
  .cards td::before { content: attr(data-label); color: var(--soft); text-align: left;
                      white-space: normal; }
  .cards tbody tr > * { border-bottom: 1px solid var(--line); }
  .cards tbody tr > :last-child { border-bottom: 0; }
  .cards td.nothing { display: none; }
  .baseline > * { background: none !important; }
  .cards tr.baseline { background: var(--panel); }
}
@media print { .scroll { overflow: visible; } details { display: block; } }
"""
