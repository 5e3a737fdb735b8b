// What is wrong with the boxes of a page, as the browser has laid them out. The value is an object of lists of words.
(() => {
  const inScroll = node => node.parentElement.closest(".scroll") !== null;
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  const split = [];
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement;
    if (!node.data.trim() || element.closest(".skip, style") || !element.checkVisibility({contentVisibilityAuto: true})) continue;
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) texts.push({node, box, words: node.data.trim().slice(0, 60)});
    for (const word of node.data.matchAll(/[\p{L}\p{N}]+/gu)) {
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      if (range.getClientRects().length > 1) split.push(word[0]);
    }
    for (const flag of node.data.matchAll(/(?<!\S)--\w[\w-]*/g)) {
      range.setStart(node, flag.index);
      range.setEnd(node, flag.index + flag[0].length);
      if (range.getClientRects().length > 1) split.push(flag[0]);
    }
  }
  // Two texts overlap if their boxes share more than a hair.
  texts.sort((one, other) => one.box.top - other.box.top);
  const overlaps = [];
  texts.forEach(({node, box, words}, place) => {
    for (const other of texts.slice(place + 1)) {
      if (other.box.top > box.bottom - 2) break;
      const wide = Math.min(box.right, other.box.right) - Math.max(box.left, other.box.left);
      const high = Math.min(box.bottom, other.box.bottom) - other.box.top;
      if (other.node !== node && wide > 1 && high > 2) overlaps.push(`${words} / ${other.words}`);
    }
  });
  const outside = texts.filter(({node, box}) => !inScroll(node) && (box.right > innerWidth + 1 || box.left < -1));
  const cut = [...document.querySelectorAll("svg.figure text")].filter(text => {
    const box = text.getBoundingClientRect(), frame = text.closest("svg").getBoundingClientRect();
    return box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
  });
  // What lies in a card, a cell or a figure stays within it.
  const boxes = [...texts, ...[...document.querySelectorAll("img, svg.figure, .heat")].map(
    node => ({node, box: node.getBoundingClientRect(), words: node.className.baseVal ?? (node.alt || node.className)}))];
  const spilled = boxes.filter(({node, box}) => {
    const card = node.parentElement.closest("li, figure, td, th, pre, .notice, .numbers div, .group");
    if (!card || card.closest("svg") || (node.parentElement.closest(".scroll") ?? card).contains(card) === false) return false;
    const frame = card.getBoundingClientRect();
    return box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 2 || box.bottom > frame.bottom + 2;
  });
  // Letters of a figure are large enough, and as clear as its page's.
  const luminance = color => color.match(/[\d.]+/g).slice(0, 3).map(part => part / 255).map(
    part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  ).reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const page = luminance(getComputedStyle(document.body).backgroundColor);
  const faint = [], small = [];
  for (const text of document.querySelectorAll("svg.figure text")) {
    const style = getComputedStyle(text), ends = [luminance(style.fill), page].sort((one, other) => one - other);
    if ((ends[1] + 0.05) / (ends[0] + 0.05) < 4.5) faint.push(text.textContent);
    const svg = text.closest("svg");
    if (parseFloat(style.fontSize) * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width < 8) small.push(text.textContent);
  }
  const scrolled = [...document.querySelectorAll(".scroll")].filter(each => each.scrollWidth > each.clientWidth + 1);
  // What stays in sight of a table that is scrolled leaves room for the rest.
  const covered = scrolled.filter(each => [...each.querySelectorAll("th")].some(
    cell => getComputedStyle(cell).position === "sticky" && cell.offsetWidth > 0.6 * each.clientWidth));
  const closed = [...document.querySelectorAll("details > :not(summary)")].filter(
    each => !each.checkVisibility({contentVisibilityAuto: true}));
  return {
    width: document.documentElement.scrollWidth,
    overlaps,
    split,
    outside: outside.map(each => each.words),
    cut: cut.map(text => text.textContent),
    spilled: spilled.map(each => each.words),
    covered: covered.map(each => each.getAttribute("aria-label")),
    faint,
    small,
    scrolled: scrolled.map(each => each.getAttribute("aria-label")),
    closed: closed.length,
  };
})()
