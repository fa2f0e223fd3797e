interface CountedPair {
  readonly count: number;
  readonly pair: number;
}

/** A binary heap of pairs: the highest count first, and among equal counts the smallest pair. */
export class PairHeap {
  readonly #items: CountedPair[] = [];

  push(count: number, pair: number): void {
    const items = this.#items;
    const item = { count, pair };
    let place = items.push(item) - 1;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!precedes(item, items[parent]!)) break;
      items[place] = items[parent]!;
      place = parent;
    }
    items[place] = item;
  }

  pop(): CountedPair | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (last === undefined || items.length === 0) return top;
    let place = 0;
    while (true) {
      let child = 2 * place + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && precedes(items[child + 1]!, items[child]!)) child++;
      if (!precedes(items[child]!, last)) break;
      items[place] = items[child]!;
      place = child;
    }
    items[place] = last;
    return top;
  }
}

function precedes(a: CountedPair, b: CountedPair): boolean {
  return a.count > b.count || (a.count === b.count && a.pair < b.pair);
}
