#include "agent/state/status_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <system_error>

#include "userspace-proxy/base/fd.h"

namespace weft::state {
namespace {

// Hidden, so that readers which list the directory do not take it for a status.
constexpr const char* kAside = ".tmp-";
// File names end at 255 bytes; a longer path of a refused file is cut and told apart by a hash.
constexpr size_t kMaxStem = 160;

bool is_plain(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

std::string quoted(const std::string& text, bool dots) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (unsigned char c : text) {
    if (is_plain(c) || (c == '.' && dots)) {
      out += static_cast<char>(c);
      continue;
    }
    out += '%';
    out += kHex[c >> 4];
    out += kHex[c & 15];
  }
  return out;
}

// The last part has no dots of its own, so that no writer takes another's files for its own.
std::string ending_of(const std::string& writer) {
  return "." + quoted(writer, false) + ".json";
}

// "<Kind>.<ns>.<name>.<writer>.json": what has fewer parts is not a status of an object.
bool is_status_of(const std::string& name, const std::string& ending) {
  if (name.starts_with('.') || !name.ends_with(ending)) return false;
  return std::ranges::count(name.substr(0, name.size() - ending.size()), '.') >= 2;
}

base::Status write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::fail_errno("write");
    text.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

}  // namespace

StatusWriter::StatusWriter(std::filesystem::path directory, std::string writer)
    : directory_(std::move(directory)), writer_(std::move(writer)) {}

std::string StatusWriter::file_name(const StatusKey& key, const std::string& writer) {
  const std::string ending = ending_of(writer);
  std::string out = quoted(key.kind, false) + "." + quoted(key.ns, false) + "." + quoted(key.name, true);
  if (out.size() > kMaxStem) {
    const std::string rest = std::to_string(std::hash<std::string>{}(out));
    out = out.substr(0, kMaxStem - rest.size() - 1) + "~" + rest;
  }
  return out + ending;
}

base::Result<StatusWriter> StatusWriter::open(std::filesystem::path directory, std::string writer) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return base::fail_errno(error.value(), "status directory " + directory.string());
  StatusWriter out(std::move(directory), std::move(writer));
  const std::string ending = ending_of(out.writer_);
  std::filesystem::directory_iterator files(out.directory_, error);
  if (error) return base::fail_errno(error.value(), "status directory " + out.directory_.string());
  for (; files != std::filesystem::directory_iterator(); files.increment(error)) {
    if (error) return base::fail_errno(error.value(), "status directory " + out.directory_.string());
    const std::string name = files->path().filename().string();
    if (is_status_of(name, ending)) out.written_.emplace(name, "");
  }
  return out;
}

base::Status StatusWriter::write(const std::string& name, const std::string& text) {
  const std::filesystem::path aside = directory_ / (kAside + name);
  const base::Fd fd(::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd) return base::fail_errno("open " + aside.string());
  TRY(write_all(fd.get(), text));
  if (::rename(aside.c_str(), (directory_ / name).c_str()) != 0)
    return base::fail_errno("rename " + aside.string());
  return {};
}

base::Status StatusWriter::apply(const std::vector<ObjectStatus>& statuses,
                                 const std::vector<StatusKey>& removed) {
  for (const ObjectStatus& status : statuses)
    pending_[file_name(status.key, writer_)] = to_json(status, writer_);
  for (const StatusKey& key : removed) pending_[file_name(key, writer_)] = "";
  if (first_) {
    for (const auto& [name, text] : written_) pending_.emplace(name, "");  // nobody claims it any more
    first_ = false;
  }
  base::Status result;
  for (auto next = pending_.begin(); next != pending_.end();) {
    const auto& [name, text] = *next;
    base::Status status;
    if (text.empty()) {
      if (::unlink((directory_ / name).c_str()) != 0 && errno != ENOENT)
        status = base::fail_errno("unlink " + name);
    } else if (const auto known = written_.find(name); known == written_.end() || known->second != text) {
      status = write(name, text);
    }
    if (!status) {
      if (result) result = std::move(status);
      ++next;
      continue;
    }
    text.empty() ? void(written_.erase(name)) : void(written_[name] = text);
    next = pending_.erase(next);
  }
  return result;
}

}  // namespace weft::state
