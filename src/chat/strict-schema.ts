import { isObject } from '../json-object';

type Schema = Readonly<Record<string, unknown>>;

/**
 * A JSON Schema in the form that OpenAI and Azure take with `strict: true`, and only then keep to. Undefined where there is no such form: for
 * properties that may be left out, names of properties that are not known, values of any type, and a choice of objects that their first
 * property does not decide.
 *
 * What else is asked of a single value, such as `minimum`, `pattern` or `maxLength`, is left out: Azure refuses all of it, and OpenAI a part.
 * Whoever reads the answer has to check that, as without `strict`.
 */
export function strictSchema({ $defs = {}, ...root }: Schema): Schema | undefined {
  if (root.type !== 'object' || !isObject($defs)) return undefined;
  const form = new StrictForm(root, $defs);
  const strict = form.of(root);
  const definitions = form.ofEach($defs);
  if (strict === undefined || definitions === undefined) return undefined;
  return Object.keys(definitions).length > 0 ? { ...strict, $defs: definitions } : strict;
}

/** Where one of these is left out, the rest asks for something else, not just for less. */
const composition = ['allOf', 'if', 'dependentSchemas', 'patternProperties', 'prefixItems'];

class StrictForm {
  /** What may be referred to. */
  readonly #targets: ReadonlyMap<unknown, unknown>;

  constructor(root: Schema, definitions: Schema) {
    const named = Object.entries(definitions).map(([name, schema]) => [`#/$defs/${name}`, schema] as const);
    this.#targets = new Map<unknown, unknown>([['#', root], ...named]);
  }

  of(schema: unknown): Schema | undefined {
    if (!isObject(schema) || composition.some((keyword) => keyword in schema)) return undefined;
    const { type, description, $ref } = schema;
    // Nothing may stand beside a reference.
    if ($ref !== undefined) return this.#targets.has($ref) ? { $ref } : undefined;
    const parts = choicesOf(schema) ? this.#choice(schema) : this.#value(schema, new Set([type].flat()));
    return parts && { ...(typeof description === 'string' && { description }), ...parts };
  }

  ofEach(schemas: Schema): Schema | undefined {
    const forms = Object.entries(schemas).map(([name, schema]) => [name, this.of(schema)] as const);
    return forms.some(([, form]) => form === undefined) ? undefined : Object.fromEntries(forms);
  }

  #choice(schema: Schema): Schema | undefined {
    const choices = choicesOf(schema)!;
    if (schema.type !== undefined || !areDecided(choices.flatMap((choice) => this.#objectsOf(choice)))) return undefined;
    const anyOf = choices.map((choice) => this.of(choice));
    return anyOf.includes(undefined) ? undefined : { anyOf };
  }

  #value(schema: Schema, types: ReadonlySet<unknown>): Schema | undefined {
    const object = types.has('object') ? this.#object(schema) : {};
    const items = types.has('array') ? this.of(schema.items) : {};
    if (types.has(undefined) || object === undefined || items === undefined) return undefined;
    return {
      type: schema.type,
      ...object,
      ...(types.has('array') && { items }),
      ...('enum' in schema && { enum: schema.enum }),
      ...('const' in schema && { const: schema.const }),
    };
  }

  /** An object that leaves open whether there may be more properties is closed: an answer with none is what it asks for, too. */
  #object({ properties = {}, required = [], additionalProperties }: Schema): Schema | undefined {
    const forms = isObject(properties) ? this.ofEach(properties) : undefined;
    if (forms === undefined || !Array.isArray(required)) return undefined;
    const names = Object.keys(forms);
    const isClosed = additionalProperties === false || (additionalProperties === undefined && names.length > 0);
    if (!isClosed || !names.every((name) => required.includes(name))) return undefined;
    return { properties: forms, required: names, additionalProperties: false };
  }

  /** The objects that a schema is a choice of, itself if it is one. */
  #objectsOf(schema: unknown, seen = new Set<unknown>()): readonly Schema[] {
    if (!isObject(schema) || seen.has(schema)) return [];
    seen.add(schema);
    if ('$ref' in schema) return this.#objectsOf(this.#targets.get(schema.$ref), seen);
    const choices = choicesOf(schema);
    if (choices) return choices.flatMap((choice) => this.#objectsOf(choice, seen));
    return isObject(schema.properties) ? [schema.properties] : [];
  }
}

/** Where the first property decides, no value is of two of the choices, so that `oneOf` and `anyOf` are the same. */
function choicesOf({ anyOf, oneOf }: Schema): readonly unknown[] | undefined {
  const choices = anyOf ?? oneOf;
  return Array.isArray(choices) ? choices : undefined;
}

/** Whether the first property of each of the objects has a name that no other's has, or the same name and other values. */
function areDecided(objects: readonly Schema[]): boolean {
  const firsts = objects.map((properties): Property => Object.entries(properties)[0] ?? []);
  return firsts.every((first, i) => firsts.slice(i + 1).every((other) => areApart(first, other)));
}

type Property = readonly [name?: string, schema?: unknown];

function areApart([name, schema]: Property, [otherName, otherSchema]: Property): boolean {
  if (name !== otherName) return true;
  const values = valuesOf(schema);
  const others = valuesOf(otherSchema);
  return values !== undefined && others !== undefined && !values.some((value) => others.includes(value));
}

function valuesOf(schema: unknown): readonly unknown[] | undefined {
  if (!isObject(schema)) return undefined;
  if (Array.isArray(schema.enum)) return schema.enum;
  return 'const' in schema ? [schema.const] : undefined;
}
