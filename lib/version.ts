// Says so where the runtime is too old: imported before all that needs more.
if (!("AsyncDisposableStack" in globalThis)) {
  const { deno } = Deno.version;
  console.error(`*** Deno 2.2.10 or later is needed; this is ${deno}`);
  Deno.exit(1);
}
