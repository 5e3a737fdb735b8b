/* What the handlers of XLA's custom calls have in common. */

#include <pthread.h>
#include <stddef.h>

#include "xla/ffi/api/c_api.h"

/* One call runs at a time: each has all cores, and OpenMP's threads wait for each other without sleeping. */
extern pthread_mutex_t resjax_turn;

/* Whether XLA asks what the handler is, and not for a call; the answer is given then. */
static inline int asks_what_it_is(XLA_FFI_CallFrame* frame) {
  const XLA_FFI_Metadata_Extension* extension = (const XLA_FFI_Metadata_Extension*)frame->extension_start;
  if (!extension || extension->extension_base.type != XLA_FFI_Extension_Metadata) return 0;
  XLA_FFI_Metadata* asked = extension->metadata;
  asked->api_version.major_version = XLA_FFI_API_MAJOR;
  asked->api_version.minor_version = XLA_FFI_API_MINOR;
  asked->traits = 0;
  return 1;
}

static inline XLA_FFI_Error* failed(const XLA_FFI_Api* api, const char* message) {
  XLA_FFI_Error_Create_Args error = {
      .struct_size = XLA_FFI_Error_Create_Args_STRUCT_SIZE, .message = message, .errc = XLA_FFI_Error_Code_INTERNAL};
  return api->XLA_FFI_Error_Create(&error);
}
