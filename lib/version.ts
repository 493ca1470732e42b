// Reports a runtime that is too old; imported before anything that needs a newer one.
if (!("AsyncDisposableStack" in globalThis)) {
  const { deno } = Deno.version;
  console.error(`*** Deno 2.2.10 or later is needed; this is ${deno}`);
  Deno.exit(1);
}
