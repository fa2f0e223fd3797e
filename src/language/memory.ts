/**
 * Keeps what a function of a text gave. The same few messages are read again in every turn of a dialogue, by the user and by the
 * judge. Forgets everything when it holds too much; callers must not change what they get.
 */
export function remember<T>(read: (text: string) => T, capacity = 4096): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    const kept = known.get(text);
    if (kept !== undefined) return kept;
    const value = read(text);
    if (known.size >= capacity) known.clear();
    known.set(text, value);
    return value;
  };
}
