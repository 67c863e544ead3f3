#include "agent/enrol/pre_mesh_files.h"

#include <sys/stat.h>

#include <cerrno>
#include <fstream>
#include <system_error>

#include "agent/enrol/pre_mesh.h"

namespace weft::enrol {
namespace {

constexpr const char* kFormat = "weft-pre-mesh-1";
constexpr const char* kEnd = "end";

}  // namespace

// Aside and renamed, so that an agent that dies in the middle leaves no half of it.
base::Status PreMeshFiles::put(uint64_t netns, const PreMeshRecord& record) {
  if (mkdir(directory_.c_str(), 0700) != 0 && errno != EEXIST) return base::fail_errno("make " + directory_.string());
  const std::filesystem::path aside = path_of(netns).string() + ".tmp";
  {
    std::ofstream out(aside, std::ios::trunc);
    out << kFormat << ' ' << boot_id_ << ' ' << record.enrolled_at.time_since_epoch().count() << ' '
        << record.unlisted << ' ' << record.late << ' ' << record.cookies.size() << '\n';
    for (const uint64_t cookie : record.cookies) out << cookie << '\n';
    out << kEnd << '\n';
    if (!out.flush()) return base::fail_errno("write " + aside.string());
  }
  std::error_code error;
  std::filesystem::rename(aside, path_of(netns), error);
  if (error) return base::fail_errno(error.value(), "rename " + aside.string());
  return {};
}

base::Result<PreMeshRecord> PreMeshFiles::find(uint64_t netns) const {
  std::ifstream in(path_of(netns));
  if (!in) return base::fail(base::ErrorKind::kNotFound, "no record");
  std::string format, boot, end;
  int64_t enrolled_at = 0;
  size_t count = 0;
  PreMeshRecord record;
  in >> format >> boot >> enrolled_at >> record.unlisted >> record.late >> count;
  if (in && boot != boot_id_) return base::fail(base::ErrorKind::kNotFound, "a record of another boot");
  for (size_t i = 0; in && i < count && count <= PreMeshConnections::kRemembered; ++i) {
    uint64_t cookie = 0;
    if (in >> cookie) record.cookies.insert(cookie);
  }
  in >> end;
  if (format != kFormat || end != kEnd || record.cookies.size() != count)
    return base::fail(base::ErrorKind::kInvalid, path_of(netns).string() + " is not a record of connections");
  record.enrolled_at = base::Instant(base::Nanos(enrolled_at));
  return record;
}

base::Status PreMeshFiles::forget(uint64_t netns) {
  std::error_code error;
  std::filesystem::remove(path_of(netns), error);
  if (error) return base::fail_errno(error.value(), "remove " + path_of(netns).string());
  return {};
}

// Of pods that ended while nobody looked.
void PreMeshFiles::keep_only(const std::set<uint64_t>& netns) {
  std::set<std::string> names;
  for (const uint64_t one : netns) names.insert(std::to_string(one));
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, ignored))
    if (!names.contains(entry.path().filename())) std::filesystem::remove(entry.path(), ignored);
}

}  // namespace weft::enrol
