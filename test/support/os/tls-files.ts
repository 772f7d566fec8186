/** A certificate that signs itself, made with openssl. */
import { execFileSync } from "node:child_process";

/** NAME.pem and NAME.key in the directory, for CN=NAME and the address 127.0.0.1. */
export function writeCertificate(directory: string, file: string, name: string): void {
  const args = [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-days",
    "2",
  ];
  const names = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=IP:127.0.0.1"];
  const files = ["-keyout", `${directory}/${file}.key`, "-out", `${directory}/${file}.pem`];
  execFileSync("openssl", [...args, ...names, ...files], { stdio: "ignore" });
}
