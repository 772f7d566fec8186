/**
 * Text that may come from others, made harmless for a terminal: control characters (cursor movement, colors, window
 * titles) and those that reverse the direction of text are shown as \uXXXX, which is valid inside a JSON string too.
 */

const EXCEPT_LINES = /[^\P{Cc}\n\t]|[\u2028-\u202e\u2066-\u2069]/gu;
const ALL = /\p{Cc}|[\u2028-\u202e\u2066-\u2069]/gu;

/** Keeps line ends and tabs: for whole outputs. */
export function escapeControls(text: string): string {
  return text.replace(EXCEPT_LINES, escaped);
}

/** The result is one line: for names and messages. */
export function escapeToOneLine(text: string): string {
  return text.replace(ALL, escaped);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
