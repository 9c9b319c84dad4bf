"""The page's one style sheet: system fonts, light or dark as the reader's system is, from 400 px up."""

from typing import Final

__all__ = ["STYLE"]

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b2230; --dim: #5c6678; --paper: #fff; --panel: #f5f7fa; --rule: #d9dfe8;
  --strategy: #0b62c4; --hold: #b25a00; --cash: #4f7a3a; --bad: #b3261e; --good: #1b7a3d; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ef; --dim: #98a3b5; --paper: #12161d; --panel: #1a2029; --rule: #313a48;
    --strategy: #62a8ff; --hold: #f0a04b; --cash: #8fc274; --bad: #ff8a80; --good: #6fd08c; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1160px; padding: 20px 16px 48px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 1.1rem; margin: 36px 0 10px; padding-bottom: 4px; border-bottom: 1px solid var(--rule); }
p { margin: 8px 0; max-width: 85ch; }
.dim { color: var(--dim); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 18px 0; }
.card { background: var(--panel); border-top: 3px solid var(--rule); border-radius: 4px; padding: 10px 14px; }
.card b { display: block; font-size: 1.7rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.card span { color: var(--dim); display: block; }
.card.strategy { border-color: var(--strategy); } .card.hold { border-color: var(--hold); }
.card.cash { border-color: var(--cash); }
.verdict { font-size: 1.05rem; border-left: 4px solid var(--bad); padding: 8px 14px; background: var(--panel); }
.verdict.edge { border-color: var(--good); } .verdict.open { border-color: var(--hold); }
.scroll { overflow-x: auto; margin: 10px 0; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { text-align: left; padding: 4px 12px 4px 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
th { color: var(--dim); font-weight: 600; }
.n { text-align: right; white-space: nowrap; } .lines td { white-space: nowrap; }
tr.sum td { font-weight: 700; border-top: 2px solid var(--rule); }
figure { margin: 14px 0 22px; }
figcaption { font-weight: 600; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 2px 0 8px; color: var(--dim); font-size: 0.9rem; }
.key::before { content: ""; display: inline-block; width: 22px; margin-right: 6px; vertical-align: middle;
  border-top: 3px solid currentColor; }
.key.strategy::before { color: var(--strategy); } .key.hold::before { color: var(--hold); border-top-style: dashed; }
.key.cash::before { color: var(--cash); border-top-style: dotted; }
svg.chart { display: block; overflow: visible; width: calc(100% - 84px); margin: 10px 12px 28px 72px; }
.chart text { font-size: 11px; fill: var(--dim); } text.y { text-anchor: end; } text.x { text-anchor: middle; }
.grid { stroke: var(--rule); } .axis, .tick { stroke: var(--dim); }
.line { fill: none; stroke-width: 1.8; vector-effect: non-scaling-stroke; stroke-linejoin: round; }
.line.strategy { stroke: var(--strategy); }
.line.hold { stroke: var(--hold); stroke-dasharray: 7 4; }
.line.cash { stroke: var(--cash); stroke-dasharray: 2 4; }
.fill.strategy { fill: var(--strategy); opacity: 0.15; }
.notes { padding-left: 20px; margin: 8px 0; max-width: 85ch; }
.warnings li::marker { color: var(--bad); }
details { border-bottom: 1px solid var(--rule); padding: 3px 0; }
summary { cursor: pointer; font-variant-numeric: tabular-nums; }
.enter b { color: var(--good); } .exit b { color: var(--hold); } .refused b { color: var(--dim); }
dl { display: grid; grid-template-columns: minmax(110px, max-content) 1fr; gap: 2px 16px; margin: 6px 0 10px 18px;
  font-size: 0.9rem; }
dt { color: var(--dim); } dd { margin: 0; font-variant-numeric: tabular-nums; }
code, pre { font: 0.85rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { background: var(--panel); padding: 10px 12px; border-radius: 4px; white-space: pre-wrap; }
@media (max-width: 640px) { text.x.odd { display: none; } .card b { font-size: 1.4rem; }
  dl { grid-template-columns: 1fr; gap: 0; margin-left: 4px; } dd { margin-bottom: 4px; } }
@media print { body { max-width: none; } }
"""
