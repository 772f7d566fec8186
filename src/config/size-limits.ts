/**
 * How much a configuration may hold, decided on the text before anything is parsed: the parsers need a hundred times
 * the memory of a dense text, and a thread for seconds.
 */

/** A thousand services are about 200 KiB. */
export const MAX_FILE_BYTES = 4 * 1024 * 1024;
/** 24 for each of MAX_SERVICES_PER_FILE services. */
export const MAX_VALUES = 100_000;
/** Some hundred services; parsing them holds up the main thread for about 50 ms. */
const MAX_SMALL_VALUES = 4_000;
/** Long texts and comments cost the parser time too. */
const MAX_SMALL_BYTES = 64 * 1024;

/** True when parsing takes a thread for long. */
export function isLargeText(text: string): boolean {
  return text.length > MAX_SMALL_BYTES || countValues(text) > MAX_SMALL_VALUES;
}

/** At least the number of values, lists and tables of a TOML or JSON text; more where strings hold `=`, `,`, `[` or `{`. */
export function countValues(text: string): number {
  let count = 0;
  let isComment = false;
  let isLineStart = true;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x0a: // \n
        isComment = false;
        isLineStart = true;
        continue;
      case 0x09: // tab
      case 0x20: // blank
        continue;
      case 0x23: // #
        isComment ||= isLineStart;
        break;
      case 0x2c: // ,
      case 0x3d: // =
      case 0x5b: // [
      case 0x7b: // {
        if (!isComment) count++;
        break;
    }
    isLineStart = false;
  }
  return count;
}
