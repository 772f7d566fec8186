/** A share of descriptors that is never used up. */
export const PLENTY = { hasRoom: () => true, add: () => {}, remove: () => {} };
