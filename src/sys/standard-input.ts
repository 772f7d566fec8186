/** Standard input as a whole, bounded. */

/** Up to its end; what is beyond `maxBytes` + 1 bytes is not read, so a longer result means that there is more. */
export async function readStandardInput(maxBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of Bun.stdin.stream()) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > maxBytes) break;
  }
  return Buffer.concat(chunks);
}
