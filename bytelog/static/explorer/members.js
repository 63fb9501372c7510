// The names of the window's events, the members of their data, and the frequent values of a member.

import { fetchGroups, fetchNames } from "./api.js";
import { nameMember } from "./grammar.js";
import { filterTextOf } from "./json.js";
import { SECOND } from "./time.js";
import { boundWindow, buildQuery, view } from "./view.js";

const MAX_VALUES = 20;
const MAX_AGE = 60 * SECOND; // of an answer: new events arrive

const answers = new Map(); // by what was asked

// Returns names with their counts, and members with the kinds of their values.
export const describeWindow = () => remember([view.start, view.end, view.last], describe);

function remember(question, ask) {
  const key = JSON.stringify(question);
  const known = answers.get(key);
  if (known?.expires > Date.now()) return known.promise;
  const promise = ask();
  answers.set(key, { promise, expires: Date.now() + MAX_AGE });
  promise.catch(() => answers.delete(key));
  return promise;
}

async function describe() {
  const names = await fetchNames(boundWindow());
  const kinds = new Map();
  for (const [member, found] of names.flatMap(({ members }) => members)) {
    kinds.set(member, new Set([...(kinds.get(member) ?? []), ...found]));
  }
  const members = [...kinds].map(([name, found]) => ({ name, field: nameMember([name]), kinds: found }));
  return { names: names.map(({ name, count }) => [name, count]), members };
}

// Returns the most frequent values of a field as pairs of a text and a count.
export function listValues(field) {
  const query = buildQuery().filter(([name]) => name.replace(/\[\w+\]$/, "") !== field);
  return remember([field, view.last, view.start, view.end, view.filters], () => count(field, query));
}

async function count(field, query) {
  const { groups } = await fetchGroups([...query, ["by", field]]);
  return groups
    .filter((group) => field in group)
    .map((group) => [filterTextOf(group[field]), group.count])
    .filter(([text]) => text)
    .slice(0, MAX_VALUES);
}
