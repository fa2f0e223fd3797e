/** What an entry takes besides its text, in characters. */
const overhead = 128;

/**
 * Keeps what a function of a text gave. The same few messages are read again in every turn of a dialogue, by the user and by the
 * judge. Forgets everything when it holds too much; callers must not change what they get.
 *
 * @param capacity how many characters the texts have together at most, {@link overhead} for each text included
 */
export function remember<T>(read: (text: string) => T, capacity = 1 << 20): (text: string) => T {
  const known = new Map<string, T>();
  let held = 0;
  return (text) => {
    const kept = known.get(text);
    if (kept !== undefined) return kept;
    const value = read(text);
    held += text.length + overhead;
    if (held > capacity) {
      known.clear();
      held = text.length + overhead;
    }
    known.set(text, value);
    return value;
  };
}
