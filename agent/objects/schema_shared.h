#pragma once
// Tables that more than one kind uses.
#include "agent/objects/schema.h"

namespace weft::objects::schema {

extern const Field kObjectMeta[15];
extern const Field kLabelSelector[2];
extern const Field kCondition[6];
extern const Field kObjectReference[7];
extern const Field kLocalObjectReference[1];
extern const Field kContainer[25];
extern const Field kEphemeralContainer[26];
extern const Field kContainerStatus[15];
extern const Field kResourceRequirements[3];
extern const Field kSELinuxOptions[4];
extern const Field kWindowsOptions[4];
extern const Field kSecurityProfile[2];
extern const Field kVolume[31];
extern const Field kPodSpec[42];

inline constexpr Type kProtocol = choice("TCP|UDP|SCTP");

}  // namespace weft::objects::schema
