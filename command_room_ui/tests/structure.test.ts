import { describe, expect, it } from "vitest";
import { CATALOGUES } from "../src/i18n";

/** Rules of the sources that no compiler holds. */
const SOURCES = import.meta.glob<string>(["../src/**/*.ts", "!../src/generated/*", "!../src/*.d.ts"], {
  query: "?raw",
  import: "default",
  eager: true,
});
const TESTS = import.meta.glob<string>("./*.test.ts", { query: "?raw", import: "default", eager: true });

/** The modules that a module imports, types included, as paths like those of `SOURCES`. */
function imports(path: string): string[] {
  const matches = (SOURCES[path] ?? "").matchAll(/(?:from|import) "(\.[^"]+)"/g);
  const resolved = [...matches].map(([, name]) => new URL(`${name}.ts`, new URL(path, "file:///tests/")).pathname);
  return resolved.map((file) => `..${file}`).filter((file) => file in SOURCES);
}

/** The first circle that is met on the way down from a module; empty where there is none. */
function circle(path: string, above: readonly string[] = [], clean = new Set<string>()): readonly string[] {
  if (above.includes(path)) return [...above.slice(above.indexOf(path)), path];
  if (clean.has(path)) return [];
  for (const next of imports(path)) {
    const found = circle(next, [...above, path], clean);
    if (found.length > 0) return found;
  }
  clean.add(path);
  return [];
}

describe("the sources", () => {
  it("are found, with what they import", () => {
    expect(Object.keys(SOURCES).length).toBeGreaterThan(40);
    expect(imports("../src/elements/app.ts")).toContain("../src/workstation.ts");
    expect(imports("../src/i18n.ts")).toContain("../src/words/en.ts");
  });

  it("import one another in no circle", () => {
    expect(Object.keys(SOURCES).map((path) => circle(path))).toEqual(Object.keys(SOURCES).map(() => []));
  });

  it.each(Object.keys(SOURCES))("say at their head what they own and what they must never know: %s", (path) => {
    const head = /^\/\*\*.*?\*\//s.exec(SOURCES[path] ?? "")?.[0] ?? "";
    expect(head).toMatch(/Owns:/);
    expect(head).toMatch(/Must never know:/);
  });

  /** Styles are looked at in a browser; words have the tests of the catalogues. */
  const tested = Object.keys(SOURCES).filter((path) => !/_styles\.ts$|\/words\/|\/main\.ts$/.test(path));

  it.each(tested)("have a test that names them: %s", (path) => {
    const name = path.replace(/\.ts$/, "");
    expect(Object.values(TESTS).filter((test) => test.includes(`"${name}"`))).not.toEqual([]);
  });

  it("show every text of the catalogue, by its key or by a prefix and a code", () => {
    const code = Object.entries(SOURCES)
      .filter(([path]) => !path.includes("/words/"))
      .map(([, source]) => source)
      .join("\n");
    const prefixes = new Set([...code.matchAll(/`(\w+)\.\$\{|tCode\("(\w+)"/g)].map((match) => match[1] ?? match[2]));
    const unused = Object.keys(CATALOGUES.fr).filter((key) => !code.includes(`"${key}"`) && !prefixes.has(key.split(".")[0]));
    expect(prefixes).toContain("role");
    expect(unused).toEqual([]);
  });
});
