// The page works without this: it remembers what was chosen, copies samples, searches, and shows
// the place that a reader is at.

const main = document.querySelector("main");
const sections = [...main.querySelectorAll("section")];
const texts = new Map(sections.map((section) => [section, section.textContent.toLowerCase()]));
const headings = [...main.querySelectorAll("h2, h3")];
const links = new Map(
  headings.map((heading) => [heading, document.querySelector(`nav a[href="#${heading.id}"]`)]),
);
const menu = document.querySelector("#menu");
const search = document.querySelector("#search");
const status = document.querySelector("nav [role=status]");
let place = { heading: headings[0], top: 0 };

function showPlace() {
  const top = document.querySelector("header").offsetHeight + 40;
  const shown = headings.filter((heading) => heading.offsetParent);
  const here = shown.findLast((it) => it.getBoundingClientRect().top < top) ?? shown[0];
  place = { heading: here, top: here?.getBoundingClientRect().top };
  for (const [heading, link] of links) {
    if (heading !== here) {
      link.removeAttribute("aria-current");
    } else if (!link.ariaCurrent) {
      link.ariaCurrent = "location";
      link.scrollIntoView({ block: "nearest" });
    }
  }
}

// Samples of another language are longer or shorter; what is being read stays where it is.
function stay() {
  scrollBy(0, place.heading.getBoundingClientRect().top - place.top);
}

function find() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const [section, text] of texts) {
    section.hidden = !words.every((word) => text.includes(word));
  }
  for (const [heading, link] of links) {
    link.parentElement.hidden = heading.closest("section").hidden;
  }
  const found = sections.filter((section) => !section.hidden).length;
  status.textContent = words.length ? `${found} of ${sections.length} sections` : "";
  highlight(words);
  showPlace();
}

function highlight(words) {
  const ranges = [];
  const nodes = document.createTreeWalker(main, NodeFilter.SHOW_TEXT);
  while (words.length && nodes.nextNode()) {
    const node = nodes.currentNode;
    for (const word of words) {
      const at = node.data.toLowerCase().indexOf(word);
      if (at >= 0) {
        ranges.push(new StaticRange({
          startContainer: node, startOffset: at, endContainer: node, endOffset: at + word.length,
        }));
      }
    }
  }
  CSS.highlights?.set("found", new Highlight(...ranges));
}

function followLink() {
  menu.checked = false;
  const target = document.getElementById(location.hash.slice(1));
  if (target?.closest("section[hidden]")) {
    search.value = "";
    find();
    target.scrollIntoView();
  }
}

function copy(code, button) {
  // navigator.clipboard is not there over plain HTTP, as a server in a team's network speaks it.
  getSelection().selectAllChildren(code);
  document.execCommand("copy");
  getSelection().empty();
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

function addCopyButton(figure) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.ariaLive = "polite";
  button.addEventListener("click", () => copy(figure.querySelector("code"), button));
  figure.querySelector("figcaption").append(button);
}

function remember(name, controls) {
  const kept = localStorage.getItem(name);
  for (const control of controls) {
    if (control.type !== "radio") control.value = kept ?? control.value;
    else if (control.value === kept) control.checked = true;
    control.addEventListener("change", () => localStorage.setItem(name, control.value));
  }
}

main.querySelectorAll(".sample:not(.answer)").forEach(addCopyButton);
search.closest("search").hidden = false;
search.addEventListener("input", find);
document.querySelector(".languages").addEventListener("change", stay);
addEventListener("scroll", showPlace, { passive: true });
addEventListener("hashchange", followLink);
addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.matches("input, select")) {
    event.preventDefault();
    menu.checked = true;
    search.focus();
  }
});
showPlace();
remember("bytelog.language", document.querySelectorAll("[name=language]"));
remember("bytelog.colours", document.querySelectorAll("#theme"));
