/** Interfaces, addresses, routes, neighbours and forwarding entries of this machine, over rtnetlink. */
export { addAddress, type InterfaceAddress, listAddresses, removeAddress } from "./addresses.ts";
export { type ForwardingEntry, listForwarding, removeForwarding, replaceForwarding } from "./forwarding.ts";
export {
  ACCEPT_FRAME,
  countFiltered,
  DROP_FRAME,
  readIngressFilter,
  setIngressFilter,
} from "./ingress-filter.ts";
export {
  createLink,
  deleteLink,
  findLink,
  type Link,
  type LinkChange,
  listLinks,
  setLink,
} from "./links.ts";
export { listNeighbours, type Neighbour, removeNeighbour, replaceNeighbour } from "./neighbours.ts";
export { NetlinkError } from "./netlink-error.ts";
export { type NetlinkRequest, NetlinkSession } from "./netlink-session.ts";
export {
  addRoute,
  findRouteTo,
  type ListedRoute,
  listRoutes,
  type Route,
  removeRoute,
  replaceRoute,
} from "./routes.ts";
export { listRules, type Rule } from "./rules.ts";
