// SPDX-License-Identifier: Apache-2.0
// Called in the page of web/frontend/tests/layout: draw a state, and say what lies wrong in it.
(state) => {
  window.show(state);
  const SLACK = 1.5;
  const { innerWidth: width, innerHeight: height } = window;
  const faults = [];
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const name = (node) => {
    const words = node.getAttribute("aria-label") ?? node.textContent.trim();
    return `${node.localName}.${node.className} "${words.slice(0, 30)}"`;
  };
  const meets = (a, b) =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > SLACK &&
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > SLACK;
  const pairs = (list, meet) => {
    for (let i = 0; i < list.length; i++) for (let j = 0; j < i; j++) meet(list[j], list[i]);
  };
  const isShown = (node) => node.checkVisibility() && !node.closest(".unseen");

  /** What of a node can be seen: cut by each box around it, up to `end`, that hides or scrolls what does not fit. */
  const seen = (rect, node, end = document.body) => {
    const cut = { left: rect.left, right: rect.right, top: rect.top, bottom: rect.bottom };
    for (let box = node; box && box !== end; box = box.parentElement) {
      const { overflowX, overflowY } = getComputedStyle(box);
      const around = box.getBoundingClientRect();
      if (overflowX !== "visible") {
        cut.left = Math.max(cut.left, around.left);
        cut.right = Math.min(cut.right, around.right);
      }
      if (overflowY !== "visible") {
        cut.top = Math.max(cut.top, around.top);
        cut.bottom = Math.min(cut.bottom, around.bottom);
      }
    }
    return cut;
  };

  const panels = all(".panel, .credit").filter((one) => isShown(one) && one.getBoundingClientRect().width > 0);
  const outer = panels.filter((one) => !one.parentElement.closest(".panel"));
  const credit = panels.filter((one) => one.classList.contains("credit"));
  for (const panel of outer) {
    const { left, right, top, bottom } = panel.getBoundingClientRect();
    if (left < -SLACK || top < -SLACK || right > width + SLACK || bottom > height + SLACK)
      faults.push(`${name(panel)} reaches out of the window`);
  }
  pairs([...new Set([...outer, ...credit])], (a, b) => {
    if (meets(a.getBoundingClientRect(), b.getBoundingClientRect())) faults.push(`${name(a)} meets ${name(b)}`);
  });

  const pieces = [];
  for (const panel of outer) {
    const walk = document.createTreeWalker(panel, NodeFilter.SHOW_TEXT);
    for (let text = walk.nextNode(); text; text = walk.nextNode()) {
      const parent = text.parentElement;
      if (!text.data.trim() || !isShown(parent)) continue;
      const range = document.createRange();
      range.selectNodeContents(text);
      const box = panel.getBoundingClientRect();
      for (const rect of range.getClientRects()) {
        const cut = seen(rect, parent);
        if (cut.right - cut.left < 2 || cut.bottom - cut.top < 6) continue;
        if (seen(rect, parent, parent.closest(".sheet-body") ?? panel).right > box.right + SLACK)
          faults.push(`"${text.data}" leaves its panel`);
        pieces.push({ text: text.data, cut, parent });
      }
    }
  }
  // A line box is a little higher than its letters.
  const letters = ({ left, right, top, bottom }) => ({ left, right, top: top + 3, bottom: bottom - 3 });
  pairs(pieces, (a, b) => {
    if (a.parent !== b.parent && meets(letters(a.cut), letters(b.cut)))
      faults.push(`"${a.text}" meets "${b.text}"`);
  });

  for (const button of all("button, a, input, [role=option]").filter(isShown)) {
    const rect = button.getBoundingClientRect();
    const cut = seen(rect, button);
    const visible = (cut.right - cut.left) * (cut.bottom - cut.top);
    if (cut.right - cut.left < Math.min(rect.width, 24) - SLACK && cut.bottom > cut.top)
      faults.push(`${name(button)} is cut off`);
    const [x, y] = [(cut.left + cut.right) / 2, (cut.top + cut.bottom) / 2];
    if (visible < 60 || cut.bottom - cut.top < 6) continue;
    const top = document.elementFromPoint(x, y);
    const own = button.closest("label, form") ?? button;
    if (!top || !(own.contains(top) || top.contains(button))) faults.push(`${name(button)} is covered`);
  }

  // A drawing of one colour with what lies behind it cannot be seen.
  const unseen = all("svg, .dot, .fleetbar i, .pin").filter((one) => {
    if (!isShown(one)) return false;
    const drawn = getComputedStyle(one);
    const ground = (node) => {
      const { backgroundColor } = getComputedStyle(node);
      return /, 0\)$|transparent/.test(backgroundColor) && node.parentElement
        ? ground(node.parentElement)
        : backgroundColor;
    };
    const colour = one.localName === "svg" ? drawn.color : drawn.backgroundColor;
    const light = (text) => {
      const [r, g, b] = (text.match(/[\d.]+/g) ?? [0, 0, 0]).map(Number);
      return (0.3 * r + 0.6 * g + 0.1 * b) / 255;
    };
    const edge = one.classList.contains("pin") ? drawn.borderTopColor : colour;
    return Math.abs(light(edge) - light(ground(one.parentElement))) < 0.4;
  });

  const kill = all(".kill")[0]?.getBoundingClientRect();
  const [head, sheet] = [all(".head")[0], all(".sheet")[0]].map((one) => one?.getBoundingClientRect());
  return {
    faults: [...new Set(faults)],
    kill: kill ? [kill.left, kill.top].map(Math.round) : null,
    mapHeight: head && sheet ? sheet.top - head.bottom : height,
    unseen: unseen.map(name),
  };
}
