/* The handler of XLA's custom calls: it gives oneDNN's operations the addresses of a call's buffers and runs them.
 *
 * It is C and not Python, because XLA calls it from its own threads, more than a hundred times in a step: without
 * Python's lock, and also while the interpreter is being torn down. It is compiled when oneDNN is first needed.
 */

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"

/* As in dnnl_types.h. */
typedef struct {
  int which;
  void* memory;
} argument;
typedef int set_handle(void* memory, void* address);
typedef int execute(const void* primitive, void* stream, int count, const argument* arguments);

/* Where a memory object of oneDNN lies in a call: a buffer (arguments first, then results) and a distance in it. */
typedef struct {
  void* memory;
  int64_t buffer;
  int64_t offset;
} place;

typedef struct {
  const void* primitive;
  int64_t count;
  const argument* arguments;
} step;

/* What a text asks for: memory objects to be placed, and primitives to be run one after the other. */
typedef struct plan {
  const char* text;
  int64_t length;
  int64_t buffers;
  int64_t place_count;
  const place* places;
  int64_t step_count;
  const step* steps;
  void* stream;
  struct plan* next;
} plan;

/* Has Python add the plan of a text that is not known; writes the reason into `message` and returns 1 if it cannot. */
typedef int64_t make_plan(const char* text, int64_t length, int64_t buffers, char* message, int64_t room);

enum { SLOTS = 4096, ROOM = 500, MOST_BUFFERS = 16 };

static set_handle* set_address;
static execute* run_primitive;
static make_plan* make;
static plan* slots[SLOTS];
/* A plan can be added or removed inside of `make`, by the thread that holds it. */
pthread_mutex_t resjax_turn;

static void new_turn(void) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
  pthread_mutex_init(&resjax_turn, &attributes);
  pthread_mutexattr_destroy(&attributes);
}

void resjax_begin(set_handle* set, execute* run, make_plan* with) {
  set_address = set, run_primitive = run, make = with;
  new_turn();
}

/* FNV-1a. */
static plan** slot_of(const char* text, int64_t length) {
  uint64_t hash = 14695981039346656037u;
  for (int64_t i = 0; i < length; ++i) hash = (hash ^ (unsigned char)text[i]) * 1099511628211u;
  return &slots[(hash ^ hash >> 32) % SLOTS];
}

static plan** find(const char* text, int64_t length) {
  plan** found = slot_of(text, length);
  while (*found && ((*found)->length != length || memcmp((*found)->text, text, length))) found = &(*found)->next;
  return found;
}

static void* copied(const void* memory, size_t size) { return memcpy(malloc(size ? size : 1), memory, size); }

/* Copies all that the plan consists of; oneDNN's objects must live until it is removed. */
void resjax_add(const plan* given) {
  plan* added = copied(given, sizeof *given);
  added->text = copied(given->text, given->length);
  added->places = copied(given->places, given->place_count * sizeof(place));
  step* steps = copied(given->steps, given->step_count * sizeof(step));
  for (int64_t i = 0; i < given->step_count; ++i)
    steps[i].arguments = copied(steps[i].arguments, steps[i].count * sizeof(argument));
  added->steps = steps;
  pthread_mutex_lock(&resjax_turn);
  plan** slot = slot_of(added->text, added->length);
  added->next = *slot;
  *slot = added;
  pthread_mutex_unlock(&resjax_turn);
}

void resjax_remove(const char* text, int64_t length) {
  pthread_mutex_lock(&resjax_turn);
  plan** found = find(text, length);
  plan* removed = *found;
  if (removed) {
    *found = removed->next;
    for (int64_t i = 0; i < removed->step_count; ++i) free((void*)removed->steps[i].arguments);
    free((void*)removed->steps);
    free((void*)removed->places);
    free((void*)removed->text);
    free(removed);
  }
  pthread_mutex_unlock(&resjax_turn);
}

/* In a child that was forked: another thread may have held the lock, and plans are for threads that are gone. */
void resjax_forget(void) {
  memset(slots, 0, sizeof slots);
  new_turn();
}

/* Returns 0, or 1 with the reason in `message`. */
static int compute(const char* text, int64_t length, void* const* buffers, int64_t count, char* message) {
  int status = 0;
  pthread_mutex_lock(&resjax_turn);
  plan* its = *find(text, length);
  if (!its) {
    status = (int)make(text, length, count, message, ROOM);
    its = *find(text, length);
  }
  if (!status && (!its || its->buffers != count)) {
    status = 1;
    snprintf(message, ROOM, "%ld buffers; expected %ld", (long)count, its ? (long)its->buffers : 0L);
  }
  for (int64_t i = 0; !status && i < its->place_count; ++i) {
    const place* where = &its->places[i];
    int code = set_address(where->memory, (char*)buffers[where->buffer] + where->offset);
    if (code) status = 1, snprintf(message, ROOM, "dnnl_memory_set_data_handle: status %d", code);
  }
  for (int64_t i = 0; !status && i < its->step_count; ++i) {
    const step* next = &its->steps[i];
    int code = run_primitive(next->primitive, its->stream, (int)next->count, next->arguments);
    if (code) status = 1, snprintf(message, ROOM, "dnnl_primitive_execute: status %d", code);
  }
  pthread_mutex_unlock(&resjax_turn);
  return status;
}

/* What Python calls it by, for tests. */
int resjax_compute(const char* text, int64_t length, void* const* buffers, int64_t count) {
  char message[ROOM];
  return compute(text, length, buffers, count, message);
}

XLA_FFI_Error* resjax_handler(XLA_FFI_CallFrame* frame) {
  if (asks_what_it_is(frame)) return NULL;
  int64_t arguments = frame->args.size, results = frame->rets.size;
  if (frame->attrs.size != 1 || arguments + results > MOST_BUFFERS) return failed(frame->api, "not a call of resjax");
  void* buffers[MOST_BUFFERS];
  for (int64_t i = 0; i < arguments; ++i) buffers[i] = ((XLA_FFI_Buffer*)frame->args.args[i])->data;
  for (int64_t i = 0; i < results; ++i) buffers[arguments + i] = ((XLA_FFI_Buffer*)frame->rets.rets[i])->data;
  const XLA_FFI_ByteSpan* text = frame->attrs.attrs[0];
  char message[ROOM] = "";
  if (compute(text->ptr, (int64_t)text->len, buffers, arguments + results, message)) return failed(frame->api, message);
  return NULL;
}
