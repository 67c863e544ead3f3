#include "agent/objects/schema_shared.h"

namespace weft::objects::schema {
namespace {

constexpr Type kTlsProtocol = choice("TLS_AUTO|TLSV1_0|TLSV1_1|TLSV1_2|TLSV1_3");

constexpr Field kTlsCertificate[] = {
    {"serverCertificate", kString},
    {"privateKey", kString},
    {"caCertificates", kString},
};
constexpr Field kServerTls[] = {
    {"httpsRedirect", kBool, kUnsupported},
    {"mode", choice("PASSTHROUGH|SIMPLE|MUTUAL|AUTO_PASSTHROUGH|ISTIO_MUTUAL|OPTIONAL_MUTUAL"), kUnsupported},
    {"serverCertificate", kString, kUnsupported},
    {"privateKey", kString, kUnsupported},
    {"caCertificates", kString, kUnsupported},
    {"caCrl", kString, kUnsupported},
    {"credentialName", kString, kUnsupported},
    {"credentialNames", kStrings, kUnsupported},
    {"caCertCredentialName", kString, kUnsupported},
    {"tlsCertificates", list(kTlsCertificate), kUnsupported},
    {"subjectAltNames", kStrings, kUnsupported},
    {"verifyCertificateSpki", kStrings, kUnsupported},
    {"verifyCertificateHash", kStrings, kUnsupported},
    {"minProtocolVersion", kTlsProtocol, kUnsupported},
    {"maxProtocolVersion", kTlsProtocol, kUnsupported},
    {"cipherSuites", kStrings, kUnsupported},
    {"insecureSkipVerify", kBool, kUnsupported},
};
constexpr Field kGatewayPort[] = {
    {"number", kPort, kRequired},
    {"protocol", kString, kRequired},
    {"name", kString, kRequired},
    {"targetPort", kUint32},  // refused by validation, as by Istio
};
constexpr Field kServer[] = {
    {"port", one(kGatewayPort), kRequired},
    {"bind", kString, kUnsupported},
    {"hosts", kStrings, kRequired},
    {"tls", one(kServerTls)},
    {"defaultEndpoint", kString, kUnsupported},
    {"name", kString},
};
constexpr Field kGatewaySpec[] = {{"servers", list(kServer), kRequired}, {"selector", kStringMap}};
constexpr Field kGateway[] = {
    {"apiVersion", kString, kRequired},
    {"kind", kString, kRequired},
    {"metadata", one(kObjectMeta), kRequired},
    {"spec", one(kGatewaySpec), kRequired},
    {"status", kAny, kIgnored},
};

}  // namespace

const Type kGatewaySchema = one(kGateway);

}  // namespace weft::objects::schema
