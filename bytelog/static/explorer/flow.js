// Lays out a flow diagram: the positions of its nodes, and the widths of the links between them.

const MAX_NODES = 12; // more are unreadable; the table lists them all
const MIN_SHARE = 0.01; // of the traces: thinner links are not drawn
const GAP = 38; // pixels between two nodes of a column: two lines of text
const MIN_DISTANCE = 132; // pixels between two columns: names must fit

// Columns go from left to right: a name stands after the names that mostly precede it.
export function layOut({ names, transitions, traces }, width, height) {
  const nodes = new Map(names.slice(0, MAX_NODES).map((node) => [node.name, { ...node }]));
  const links = transitions
    .filter(({ from, to, count }) => nodes.has(from) && nodes.has(to) && count >= MIN_SHARE * traces)
    .map((link) => ({ ...link }));
  rank(nodes, links);
  const columns = groupByRank(nodes);
  const largestSum = Math.max(...columns.map((column) => column.reduce((sum, node) => sum + node.count, 0)));
  const mostNodes = Math.max(...columns.map((column) => column.length));
  const scale = (height - GAP * (mostNodes + 1)) / largestSum;
  const distance = Math.max(MIN_DISTANCE, width / Math.max(1, columns.length - 1));
  columns.forEach((column, index) => stack(column, index * distance, height, scale));
  attachLinks(nodes, links, scale);
  return { nodes: [...nodes.values()], links, scale, width: distance * (columns.length - 1) };
}

// A node's rank is above the ranks of all nodes that lead to it; links backward do not count.
function rank(nodes, links) {
  for (const node of nodes.values()) node.rank = 0;
  const forward = removeCycles(links);
  for (let round = 0; round < nodes.size; round++) {
    for (const link of forward) {
      const [from, to] = [nodes.get(link.from), nodes.get(link.to)];
      to.rank = Math.max(to.rank, from.rank + 1);
    }
  }
}

// Keeps links in the order of their counts, except those that would close a cycle.
function removeCycles(links) {
  const kept = [];
  const reaches = (from, to) =>
    from === to || kept.some((link) => link.from === from && reaches(link.to, to));
  for (const link of [...links].sort((a, b) => b.count - a.count)) {
    if (!reaches(link.to, link.from)) kept.push(link);
  }
  return kept;
}

function groupByRank(nodes) {
  const columns = new Map();
  for (const node of [...nodes.values()].sort((a, b) => a.rank - b.rank)) {
    columns.set(node.rank, [...(columns.get(node.rank) ?? []), node]);
  }
  return [...columns.values()];
}

// Stacks the nodes of a column, the most frequent on top, and centers them vertically.
function stack(column, x, height, scale) {
  const heightOf = (node) => Math.max(3, node.count * scale);
  const used = column.reduce((sum, node) => sum + heightOf(node), 0) + GAP * (column.length - 1);
  let y = (height - used) / 2;
  for (const node of column.sort((a, b) => b.count - a.count)) {
    Object.assign(node, { x, y, height: heightOf(node) });
    y += node.height + GAP;
  }
}

// Sets where each link leaves and enters its nodes: in the order of the nodes at its other ends.
function attachLinks(nodes, links, scale) {
  for (const [side, other] of [["from", "to"], ["to", "from"]]) {
    for (const node of nodes.values()) {
      let y = node.y;
      const attached = links.filter((link) => link[side] === node.name);
      attached.sort((a, b) => nodes.get(a[other]).y - nodes.get(b[other]).y);
      for (const link of attached) {
        link.size = Math.max(1, link.count * scale);
        link[`${side}Y`] = y + link.size / 2;
        link[`${side}X`] = node.x;
        y += link.size;
      }
    }
  }
}
