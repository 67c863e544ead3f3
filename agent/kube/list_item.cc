#include "agent/kube/list_item.h"

namespace weft::kube {

using objects::Node;

void fill_in_kind(Node& object, const Resource& resource) {
  if (!object.find("kind")) object.set("kind", Node::string(resource.kind));
  if (!object.find("apiVersion")) object.set("apiVersion", Node::string(resource.api_version()));
}

base::Result<ListPage> read_page(parse::JsonReader& reader, std::string_view text, const Resource& resource,
                                 const std::function<base::Status(Node)>& each, size_t most,
                               const parse::Unread& unread) {
  const auto one = [&](Node item) -> base::Status {
    if (item.at({"metadata", "name"}).as_string().empty())
      return base::fail(base::ErrorKind::kInvalid, "a list with an object that has no name",
                        base::Side::kDestination);
    fill_in_kind(item, resource);
    return each(std::move(item));
  };
  TRY_ASSIGN(const Node rest,
             reader.read_list(text, "items", one, {.bytes = most, .nodes = 1'000'000, .depth = 100}, unread));
  ListPage page{.resource_version = rest.at({"metadata", "resourceVersion"}).as_string(),
                .next = rest.at({"metadata", "continue"}).as_string()};
  if (!rest.at({"kind"}).as_string().ends_with("List") || page.resource_version.empty())
    return base::fail(base::ErrorKind::kInvalid, "the answer is no list of an API server",
                      base::Side::kDestination);
  return page;
}

}  // namespace weft::kube
