const reduced = matchMedia('(prefers-reduced-motion: reduce)');

/**
 * Animates elements from their positions before `change` to those after it; new elements
 * fade in. Disabled when the visitor prefers reduced motion.
 */
export function glide(elements: ReadonlyMap<string, HTMLElement>, change: () => void): void {
  if (reduced.matches || document.hidden) {
    change();
    return;
  }
  const before = new Map([...elements].map(([key, element]) => [key, position(element)]));
  change();
  const moves = [...elements].map(([key, element]) => ({
    element,
    from: before.get(key),
    to: position(element),
  }));
  for (const { element, from, to } of moves) {
    if (from === undefined) {
      element.animate([{ opacity: 0 }, { opacity: 1 }], { duration: 240, easing: 'ease-out' });
    } else if (from.x !== to.x || from.y !== to.y) {
      element.animate(
        [{ transform: `translate(${from.x - to.x}px, ${from.y - to.y}px)` }, { transform: 'none' }],
        { duration: 320, easing: 'cubic-bezier(.2, .8, .2, 1)' },
      );
    }
  }
}

function position(element: HTMLElement): { x: number; y: number } {
  return { x: element.offsetLeft, y: element.offsetTop };
}
