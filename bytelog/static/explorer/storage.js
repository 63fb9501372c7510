// What the browser keeps for the page: the key and the colors of names while the tab is open, and
// beyond that the time zone, and the key if the reader wants to stay signed in.
// A browser that blocks cookies blocks this too; then it lasts until the page is loaded again.

const PROBE = "bytelog.probe";

export let isBlocked = false;

export const tab = open("sessionStorage");
export const browser = open("localStorage");

function open(name) {
  try {
    window[name].setItem(PROBE, "");
    window[name].removeItem(PROBE);
    return window[name];
  } catch {
    isBlocked = true;
    const values = new Map();
    return {
      getItem: (key) => values.get(key) ?? null,
      setItem: (key, value) => values.set(key, value),
      removeItem: (key) => values.delete(key),
    };
  }
}
