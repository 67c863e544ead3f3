#pragma once
// One answer to a list request, read.
#include <functional>
#include <string>
#include <string_view>

#include "agent/kube/resource.h"
#include "agent/objects/node.h"
#include "agent/parse/json.h"
#include "userspace-proxy/base/result.h"

namespace weft::kube {

struct ListPage {
  std::string resource_version;
  std::string next;  // the continue token; empty: that was the last page
};

// Hands out the objects of `text`, apiVersion and kind filled in: items of built-in kinds come without them.
// kInvalid: no list of an API server.
[[nodiscard]] base::Result<ListPage> read_page(parse::JsonReader& reader, std::string_view text,
                                               const Resource& resource,
                                               const std::function<base::Status(objects::Node)>& each,
                                               size_t most, const parse::Unread& unread = {});
void fill_in_kind(objects::Node& object, const Resource& resource);

}  // namespace weft::kube
