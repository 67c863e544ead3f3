#!/usr/bin/python3
"""Callers that are not ours against weft's CA: gRPC C core (python3-grpcio) with Google's protobuf and Struct, tokens
signed by python3-jwcrypto, requests and certificates by python3-cryptography.

Usage: ca_interop.py PATH_OF_WEFT_AGENT. Exits 1 with a line for each expectation that did not hold.
"""
import datetime
import json
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2
from jwcrypto import jwk, jwt

ISSUER = "https://kubernetes.default.svc.cluster.local"
NAME = "weft-control.weft-system.svc"
PATH = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
CART = "spiffe://cluster.local/ns/shop/sa/cart"
POD = """---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {ns}, uid: uid-{name}}}
spec:
  nodeName: {node}
  serviceAccountName: {account}
  containers: [{{name: a, image: a}}]
status: {{phase: Running}}
"""
failures = []


def expect(condition, text):
    print(("ok      " if condition else "FAILED  ") + text)
    if not condition:
        failures.append(text)


def messages():
    """Request and response as the public service defines them, with the real google.protobuf.Struct."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="ca.proto", package="istio.v1.auth", syntax="proto3",
                                              dependency=["google/protobuf/struct.proto"])
    request = file.message_type.add(name="IstioCertificateRequest")
    request.field.add(name="csr", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    request.field.add(name="validity_duration", number=3, type=field.TYPE_INT64, label=field.LABEL_OPTIONAL)
    request.field.add(name="metadata", number=4, type=field.TYPE_MESSAGE, label=field.LABEL_OPTIONAL,
                      type_name=".google.protobuf.Struct")
    response = file.message_type.add(name="IstioCertificateResponse")
    response.field.add(name="cert_chain", number=1, type=field.TYPE_STRING, label=field.LABEL_REPEATED)
    pool = descriptor_pool.Default()
    pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return [factory.GetPrototype(pool.FindMessageTypeByName("istio.v1.auth." + name))
            for name in ("IstioCertificateRequest", "IstioCertificateResponse")]


REQUEST, RESPONSE = messages()


class World:
    def __init__(self, agent):
        self.scratch = tempfile.TemporaryDirectory(prefix="weft-interop-")
        root = pathlib.Path(self.scratch.name)
        for name in ("manifests", "ca", "status"):
            (root / name).mkdir()
        self.keys = {"ES256": jwk.JWK.generate(kty="EC", crv="P-256", kid="ec", use="sig"),
                     "RS256": jwk.JWK.generate(kty="RSA", size=2048, kid="rsa", use="sig")}
        public = [json.loads(key.export_public()) for key in self.keys.values()]
        (root / "jwks.json").write_text(json.dumps({"keys": public}))
        pods = [("weft-system", "weft-agent-node1", "weft-agent", "node1"), ("shop", "cart-1", "cart", "node1"),
                ("shop", "pay-1", "pay", "node2")]
        (root / "manifests/pods.yaml").write_text(
            "".join(POD.format(ns=ns, name=name, account=account, node=node) for ns, name, account, node in pods))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.endpoint = "127.0.0.1:%d" % probe.getsockname()[1]
        self.log = open(root / "log", "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [agent, "--role", "control", "--namespace", "weft-system", "--pod", "control", "--manifests",
             root / "manifests", "--status-dir", root / "status", "--ca-dir", root / "ca", "--ca-listen", self.endpoint,
             "--ca-name", NAME, "--token-keys", root / "jwks.json", "--certificate-lifetime", "10m"], stderr=self.log)
        self.root = root

    def roots(self):
        return (self.root / "ca/root-cert.pem").read_bytes()

    def token(self, algorithm="ES256", **changes):
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": "system:serviceaccount:weft-system:weft-agent", "aud": ["istio-ca"], "iat": now,
                  "nbf": now, "exp": now + 3600,
                  "kubernetes.io": {"namespace": "weft-system", "serviceaccount": {"name": "weft-agent", "uid": "u"},
                                    "pod": {"name": "weft-agent-node1", "uid": "uid-weft-agent-node1"},
                                    "node": {"name": "node1", "uid": "u"}}}
        claims.update(changes)
        token = jwt.JWT(header={"alg": algorithm, "kid": self.keys[algorithm].get("kid")}, claims=claims)
        token.make_signed_token(self.keys[algorithm])
        return token.serialize()

    def channel(self, roots=None, name=NAME):
        credentials = grpc.ssl_channel_credentials(root_certificates=roots or self.roots())
        return grpc.secure_channel(self.endpoint, credentials, options=[("grpc.ssl_target_name_override", name)])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(10)
        self.log.seek(0)
        if failures:
            print(self.log.read())
        return code


def csr_of(key, common_name=None):
    names = [] if common_name is None else [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    alternative = x509.SubjectAlternativeName([x509.UniformResourceIdentifier("spiffe://cluster.local/ns/x/sa/y")])
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    return request.add_extension(alternative, critical=True).sign(key, hashes.SHA256()).public_bytes(
        serialization.Encoding.PEM).decode()


def request_of(key, identity=CART, seconds=0):
    metadata = struct_pb2.Struct()
    # What else a caller puts into the Struct is carried along.
    metadata.update({"ImpersonatedIdentity": identity, "number": 1.5, "list": ["a", True, None], "deep": {"a": {"b": 1}}})
    return REQUEST(csr=csr_of(key), validity_duration=seconds, metadata=metadata)


def ask(channel, request, token, wait=False):
    call = channel.unary_unary(PATH, request_serializer=REQUEST.SerializeToString, response_deserializer=RESPONSE.FromString)
    proof = (("authorization", "Bearer " + token),) if token else ()
    try:
        return call(request, metadata=proof + (("clusterid", "Kubernetes"),), timeout=10, wait_for_ready=wait)
    except grpc.RpcError as error:
        return error


def code_of(answer):
    return answer.code() if isinstance(answer, grpc.RpcError) else grpc.StatusCode.OK


def check_leaf(world, answer, key, minutes):
    if code_of(answer) != grpc.StatusCode.OK:
        expect(False, "a certificate: %s" % answer)
        return
    leaf = x509.load_pem_x509_certificate(answer.cert_chain[0].encode())
    root = x509.load_pem_x509_certificate(answer.cert_chain[-1].encode())
    expect(answer.cert_chain[-1].encode() == world.roots(), "the last element is the bundle")
    expect(len(answer.cert_chain) == 2, "no intermediate where the root signs")
    expect(len(leaf.subject.rdns) == 0, "the subject is empty")
    alternative = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    expect(alternative.critical and [name.value for name in alternative.value] == [CART], "one critical URI: the identity asked for")
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
    expect(usage.critical and usage.value.digital_signature and usage.value.key_encipherment and not usage.value.key_cert_sign, "key usage")
    extended = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    expect(set(extended) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}, "extended key usage")
    expect(leaf.not_valid_after - leaf.not_valid_before == datetime.timedelta(minutes=minutes + 2), "%d minutes and two before" % minutes)
    root.public_key().verify(leaf.signature, leaf.tbs_certificate_bytes, ec.ECDSA(leaf.signature_hash_algorithm))
    expect(leaf.public_key().public_numbers() == key.public_key().public_numbers(), "the key of the request")


def check(world):
    for _ in range(200):
        if (world.root / "ca/root-cert.pem").exists():
            break
        time.sleep(0.05)
    elliptic, long = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
    with world.channel() as channel:
        check_leaf(world, ask(channel, request_of(elliptic), world.token(), wait=True), elliptic, 10)
        check_leaf(world, ask(channel, request_of(long, seconds=86400), world.token("RS256")), long, 1440)
        # One connection carries many calls at once.
        calls = [channel.unary_unary(PATH, request_serializer=REQUEST.SerializeToString, response_deserializer=RESPONSE.FromString)
                 .future(request_of(elliptic), metadata=(("authorization", "Bearer " + world.token()),), timeout=20) for _ in range(100)]
        expect(all(call.exception() is None for call in calls), "a hundred calls at once")
        unauthenticated = grpc.StatusCode.UNAUTHENTICATED
        wrong = {"no token": "", "another audience": world.token(aud=["api"]), "expired": world.token(exp=int(time.time()) - 60)}
        texts = set()
        for what, token in wrong.items():
            answer = ask(channel, request_of(elliptic), token)
            expect(code_of(answer) == unauthenticated, what)
            texts.add(answer.details())
        expect(len(texts) == 1, "refusals of tokens look alike")
        # Whose token is proven may be early: he shall come again, and does not learn where such a pod is.
        unseen = [ask(channel, request_of(elliptic, "spiffe://cluster.local/ns/shop/sa/" + name), world.token())
                  for name in ("pay", "nobody")]
        expect(all(code_of(answer) == grpc.StatusCode.UNAVAILABLE for answer in unseen), "a pod of another node, or of none")
        expect(len({answer.details() for answer in unseen}) == 1, "and both look alike")
        expect(code_of(ask(channel, request_of(elliptic, seconds=86401), world.token())) == grpc.StatusCode.INVALID_ARGUMENT, "too long a validity")
        huge = REQUEST(csr="x" * 200_000)
        expect(code_of(ask(channel, huge, world.token())) == grpc.StatusCode.RESOURCE_EXHAUSTED, "a message above the bound")
        other = channel.unary_unary("/istio.v1.auth.IstioCertificateService/Other")
        try:
            other(b"", timeout=10)
            expect(False, "an unknown method")
        except grpc.RpcError as error:
            expect(error.code() == grpc.StatusCode.UNIMPLEMENTED, "an unknown method")
    with grpc.secure_channel(world.endpoint, grpc.ssl_channel_credentials(world.roots()), compression=grpc.Compression.Gzip,
                             options=[("grpc.ssl_target_name_override", NAME)]) as channel:
        expect(code_of(ask(channel, request_of(long), world.token())) == grpc.StatusCode.UNIMPLEMENTED, "compression is refused")
    with world.channel(name="other.svc") as channel:
        expect(code_of(ask(channel, request_of(elliptic), world.token())) == grpc.StatusCode.UNAVAILABLE, "a client of another name goes away")


def main():
    world = World(sys.argv[1])
    try:
        check(world)
    finally:
        expect(world.stop() == 0, "control ends cleanly")
    print("%d failed" % len(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
