/** Stands in for nginx as the HTTP target where nginx is not installed. Argument: the port. */
Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  reusePort: true,
  idleTimeout: 0,
  fetch: () => new Response("ok"),
});
