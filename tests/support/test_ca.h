#pragma once
// A certificate authority for tests: roots, intermediates and leaves, right ones and every kind of wrong one.
// Speaks PEM and DER only, so that tests of any room can use it.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace weft::test {

struct LeafSpec {
  std::vector<std::string> uris = {"spiffe://cluster.local/ns/default/sa/a"};  // URI SANs, in this order
  std::vector<std::string> dns;                                               // DNS SANs
  std::string extended_key_usage = "serverAuth,clientAuth";                   // empty: no such extension
  std::string key_usage = "critical,digitalSignature,keyEncipherment";        // empty: no such extension
  bool is_ca = false;
  std::string common_name;  // empty: empty subject, SAN critical
  int64_t not_before = 0;   // wall seconds since the epoch; 0: five minutes ago
  int64_t not_after = 0;    // 0: in one hour
  bool rsa = false;         // RSA-2048 instead of ECDSA P-256
};

struct Issued {
  std::string certificate_pem;
  std::string chain_pem;  // the certificate, then the intermediates up to the root, without the root
  std::string key_pem;    // PKCS#8; empty when a request was signed
};

class TestCa {
 public:
  explicit TestCa(std::string_view name = "weft test root");
  ~TestCa();
  TestCa(TestCa&&) noexcept;
  TestCa& operator=(TestCa&&) noexcept;

  [[nodiscard]] const std::string& certificate_pem() const;  // the root itself, or this intermediate
  [[nodiscard]] const std::string& key_pem() const;
  // An authority below this one.
  [[nodiscard]] TestCa intermediate(std::string_view name) const;
  // A certificate for a fresh key.
  [[nodiscard]] Issued issue(const LeafSpec& spec = {}) const;
  // Signs the key of a PKCS#10 request, DER or PEM. With an empty spec.uris the SANs of the request are taken.
  [[nodiscard]] Issued sign(std::string_view request, const LeafSpec& spec = {}) const;
  [[nodiscard]] static Issued self_signed(const LeafSpec& spec = {});

 private:
  struct Parts;
  explicit TestCa(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace weft::test
