// The chart by another member than the name, and with sums instead of counts.

import { fetchGroups } from "./api.js";
import { byId, refill } from "./elements.js";
import { nameField } from "./fields.js";
import { isCountable, resolveField, shortenField } from "./grammar.js";
import { filterTextOf } from "./json.js";
import { describeWindow } from "./members.js";
import { formatDecimal, formatNumber } from "./time.js";
import { changeOptions, go, option } from "./view.js";

// Returns what the chart shows, or undefined if it counts names.
export function readChart() {
  const [by, sum] = [option("by") ?? "name", option("sum")];
  return by === "name" && !sum ? undefined : { by, sum };
}

export function showFields() {
  const [by, sum] = ["by", "sum"].map((name) => {
    const choose = async (text) => {
      const { members } = await describeWindow().catch(() => ({ members: [] }));
      const field = text && text !== "name" ? resolveField(text, members.map((member) => member.name)) : undefined;
      input.setCustomValidity(field && !isCountable(field) ? "Write a member of data, such as plan, cart.items or data.id." : "");
      if (input.reportValidity()) go({ options: changeOptions({ [name]: field }) });
    };
    const input = nameField(name === "by" ? "Chart by" : "Sum of", option(name) && shortenField(option(name)), choose, byId("event-members"));
    input.addEventListener("input", () => input.setCustomValidity(""));
    input.placeholder = name === "by" ? "name" : "count";
    return input;
  });
  refill(byId("chart"), "by", by, "sum of", sum);
}

// Returns the bars of a part of the window, in the form of a summary.
export async function fetchBars(query, { by, sum }, options) {
  const { count, groups } = await fetchGroups([...query, ...listChoices({ by, sum })], options);
  const buckets = new Map(groups.map(({ date }) => [date, { date, names: [] }]));
  for (const group of groups) buckets.get(group.date).names.push([labelOf(group, by), valueOf(group, sum)]);
  return { count, names: [], buckets: [...buckets.values()] };
}

// Returns the exact totals: of each group for the legend, and of all of them.
export async function fetchTotals(query, { by, sum }, options) {
  // One after the other: a server limits the long requests of a project.
  const grouped = await fetchGroups([...query, ...listChoices({ by, sum })], options);
  const all = sum && (await fetchGroups([...query, ["sum", sum]], options));
  const names = grouped.groups.map((group) => [labelOf(group, by), valueOf(group, sum), { filter: filterFor(group, by), text: textOf(group, sum) }]);
  const isMissing = ({ filter: [parameter] }) => parameter.endsWith("[exists]");
  names.sort(([, a, one], [, b, other]) => b - a || isMissing(one) - isMissing(other));
  const total = all && `${formatDecimal(all.groups[0]?.sum ?? "0")} ${shortenField(sum)} in ${formatNumber(grouped.count)} events`;
  return { names, total };
}

const listChoices = ({ by, sum }) => [["by", by], ...(sum ? [["sum", sum]] : [])];

const labelOf = (group, by) => (by in group ? filterTextOf(group[by]) : `no ${shortenField(by)}`);

const valueOf = (group, sum) => (sum ? Number(group.sum ?? 0) : group.count);

const textOf = (group, sum) => (sum ? formatDecimal(group.sum ?? "0") : formatNumber(group.count));

const filterFor = (group, by) => (by in group ? [by, filterTextOf(group[by])] : [`${by}[exists]`, "false"]);
