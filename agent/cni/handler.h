#pragma once
// Who answers weft-cni.
#include <functional>

#include "agent/cni_wire/message.h"

namespace weft::cni {

// Call it once, in the loop's thread, at once or later; too late or never is harmless: the plugin gets its
// answer when its time is up.
using Reply = std::move_only_function<void(Answer)>;

class Handler {
 public:
  virtual ~Handler() = default;
  // A sandbox has been made and has its addresses; nothing runs in it before the reply.
  virtual void on_add(const Request& sandbox, Reply reply) = 0;
  // Whether the sandbox is as it should be.
  virtual void on_check(const Request& sandbox, Reply reply) = 0;
  // The sandbox goes; may come twice, or for one that was never added.
  virtual void on_del(const Request& sandbox) = 0;
};

}  // namespace weft::cni
