/** Options that have defaults: each may be left out, or be undefined. */
export type Optional<T> = { readonly [Name in keyof T]?: T[Name] | undefined };
