#include "agent/objects/schema_shared.h"

namespace weft::objects::schema {
namespace {

constexpr Field kOwnerReference[] = {
    {"apiVersion", kString, kRequired}, {"kind", kString, kRequired}, {"name", kString, kRequired},
    {"uid", kString, kRequired},        {"controller", kBool},        {"blockOwnerDeletion", kBool, kIgnored},
};

constexpr Field kManagedFields[] = {
    {"manager", kString},    {"operation", kString}, {"apiVersion", kString},  {"time", kTime},
    {"fieldsType", kString}, {"fieldsV1", kAny},     {"subresource", kString},
};

constexpr Field kLabelSelectorRequirement[] = {
    {"key", kString, kRequired},
    {"operator", choice("In|NotIn|Exists|DoesNotExist"), kRequired},
    {"values", kStrings},
};

constexpr Field kHeader[] = {
    {"apiVersion", kString, kRequired},
    {"kind", kString, kRequired},
    {"metadata", one(kObjectMeta), kRequired},
};

}  // namespace

// The name is required too, but not in a pod template: decode() asks for it.
constinit const Field kObjectMeta[15] = {
    {"name", kString},
    {"generateName", kString, kIgnored},
    {"namespace", kString},
    {"selfLink", kString, kIgnored},
    {"uid", kString},
    {"resourceVersion", kString},
    {"generation", kInt64},
    {"creationTimestamp", kTime},
    {"deletionTimestamp", kTime},
    {"deletionGracePeriodSeconds", kInt64, kIgnored},
    {"labels", kStringMap},
    {"annotations", kStringMap},
    {"ownerReferences", list(kOwnerReference)},
    {"finalizers", kStrings, kIgnored},
    {"managedFields", list(kManagedFields), kIgnored},
};

constinit const Field kLabelSelector[2] = {
    {"matchLabels", kStringMap},
    {"matchExpressions", list(kLabelSelectorRequirement)},
};

constinit const Field kCondition[6] = {
    {"type", kString},   {"status", kString},  {"observedGeneration", kInt64}, {"lastTransitionTime", kTime},
    {"reason", kString}, {"message", kString},
};

constinit const Field kObjectReference[7] = {
    {"kind", kString},       {"namespace", kString},       {"name", kString},      {"uid", kString},
    {"apiVersion", kString}, {"resourceVersion", kString}, {"fieldPath", kString},
};

constinit const Field kLocalObjectReference[1] = {{"name", kString}};

const Type kHeaderSchema = one(kHeader);

}  // namespace weft::objects::schema
