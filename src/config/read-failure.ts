/** Why a file cannot be read, and what to do about it. */
export interface ReadHints {
  /** It does not exist. */
  readonly missing: string;
  /** It is a directory, a pipe, a device. */
  readonly unfit: string;
}

/** To be read behind "cannot read the file: ". */
export function whyUnreadable(error: NodeJS.ErrnoException, { missing, unfit }: ReadHints): string {
  switch (error.code) {
    case "ENOENT":
      return `it does not exist: ${missing}`;
    case "EACCES":
    case "EPERM":
      return "permission denied: make it readable for the user portmesh runs as";
    case "not-regular":
      return `${error.message}: ${unfit}`;
    case "ELOOP":
      return "its symbolic links form a loop";
    default:
      return error.message;
  }
}
