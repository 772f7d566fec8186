/** What the drivers' devices have in common: they are kept what they have to be, by what rtnetlink reports. */
export { DeviceKeeper, type Look, type LookOptions } from "./device-keeper.ts";
export { DeviceWatch } from "./device-watch.ts";
export { type Fault, REMOVED } from "./plan-repairs.ts";
export type { WantedDevice } from "./state.ts";
