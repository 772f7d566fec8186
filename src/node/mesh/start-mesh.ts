/**
 * Starts this node's part in the mesh: what it remembers, its place in the gossip, the first words with the others.
 *
 * A node alone has the same catalog without anybody to tell: services made by command work there too.
 */
