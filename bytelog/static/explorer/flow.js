// Where the names of a flow stand, and how wide the bands between them are.

const NAMES = 12; // more make a thicket; the table has them all
const LEAST = 0.01; // of a flow's traces: thinner bands are not drawn
const GAP = 38; // room for two lines of text
const COLUMN = 132; // pixels from one column to the next at least, so that names fit

// Columns from the left: a name stands after those that mostly come before it.
export function arranged({ names, transitions, traces }, width, height) {
  const nodes = new Map(names.slice(0, NAMES).map((it) => [it.name, { ...it }]));
  const links = transitions
    .filter((it) => it.from !== it.to && nodes.has(it.from) && nodes.has(it.to))
    .filter((it) => it.count >= LEAST * traces)
    .map((it) => ({ ...it }));
  place(nodes, links);
  const columns = columnsOf(nodes);
  const tallest = Math.max(...columns.map((column) => column.reduce((sum, it) => sum + it.count, 0)));
  const most = Math.max(...columns.map((column) => column.length));
  const scale = (height - GAP * (most + 1)) / tallest;
  const distance = Math.max(COLUMN, width / Math.max(1, columns.length - 1));
  columns.forEach((column, number) => stack(column, number * distance, height, scale));
  attach(nodes, links, scale);
  return { nodes: [...nodes.values()], links, scale, width: distance * (columns.length - 1) };
}

// A name stands right of all that lead to it; the ways back do not count.
function place(nodes, links) {
  for (const node of nodes.values()) node.rank = 0;
  const forward = acyclic(links);
  for (let round = 0; round < nodes.size; round++) {
    for (const link of forward) {
      const [from, to] = [nodes.get(link.from), nodes.get(link.to)];
      to.rank = Math.max(to.rank, from.rank + 1);
    }
  }
}

// The stronger of two directions, and no way back to where a name came from.
function acyclic(links) {
  const kept = [];
  const reaches = (from, to) =>
    from === to || kept.some((it) => it.from === from && reaches(it.to, to));
  for (const link of [...links].sort((a, b) => b.count - a.count)) {
    if (!reaches(link.to, link.from)) kept.push(link);
  }
  return kept;
}

function columnsOf(nodes) {
  const columns = new Map();
  for (const node of [...nodes.values()].sort((a, b) => a.rank - b.rank)) {
    columns.set(node.rank, [...(columns.get(node.rank) ?? []), node]);
  }
  return [...columns.values()];
}

function stack(column, x, height, scale) {
  const used = column.reduce((sum, it) => sum + Math.max(3, it.count * scale), 0) + GAP * (column.length - 1);
  let y = (height - used) / 2;
  for (const node of column.sort((a, b) => b.count - a.count)) {
    Object.assign(node, { x, y, height: Math.max(3, node.count * scale) });
    y += node.height + GAP;
  }
}

function attach(nodes, links, scale) {
  for (const [side, other] of [["from", "to"], ["to", "from"]]) {
    for (const node of nodes.values()) {
      let y = node.y;
      const mine = links.filter((it) => it[side] === node.name);
      mine.sort((a, b) => nodes.get(a[other]).y - nodes.get(b[other]).y);
      for (const link of mine) {
        link.size = Math.max(1, link.count * scale);
        link[`${side}Y`] = y + link.size / 2;
        link[`${side}X`] = node.x;
        y += link.size;
      }
    }
  }
}
