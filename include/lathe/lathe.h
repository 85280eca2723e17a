/* Lathe's C ABI: open a .tflite model, make a session, run it.
 *
 *   LatheModel* model = NULL;
 *   LatheSession* session = NULL;
 *   if (LatheModelOpen("model.tflite", NULL, &model) != LATHE_OK ||
 *       LatheSessionCreate(model, NULL, &session) != LATHE_OK) {
 *     fprintf(stderr, "%s\n", LatheLastError());
 *   }
 *   LatheSessionInputData(session, "x", &input, &bytes);     fill it
 *   LatheSessionRun(session);
 *   LatheSessionOutputData(session, "y", &output, &bytes);   read it
 *   LatheSessionFree(session);
 *   LatheModelFree(model);
 *
 * The same core as lathe.hpp; examples/run_model.c is the whole of it with
 * errors. C99. Nothing here throws, aborts or prints.
 *
 * Null. A null object, name or out-pointer is LATHE_USAGE, never a crash;
 * functions that return a count return 0, those that return text return NULL.
 * Free functions take null. Options may always be null: the defaults.
 *
 * Who owns what. What a Create, Open or FromMemory call gives is freed with its
 * Free call. Every other pointer belongs to the object it came from and is
 * valid as long as its function says. A session keeps its model and its threads
 * alive, so that they may be freed in any order. On an error out-parameters are
 * left as they were.
 *
 * Threads. A model and threads may be used from any thread at the same time. A
 * session is used by one thread at a time; only LatheSessionStop may be called
 * while another thread is in LatheSessionRun.
 *
 * Structs begin with their own size, so that they can grow: start from
 * LATHE_INIT(LatheSessionOptions), LATHE_INIT(LatheTensorInfo) and so on.
 */

#ifndef LATHE_LATHE_H_
#define LATHE_LATHE_H_

#include <stddef.h>
#include <stdint.h>

#define LATHE_C_EXPORT __attribute__((visibility("default")))

/* LatheTensorInfo info = LATHE_INIT(LatheTensorInfo); */
#define LATHE_INIT(type) {.struct_size = sizeof(type)}

#ifdef __cplusplus
extern "C" {
#endif

typedef struct LatheModel LatheModel;     /* A graph with its weights. */
typedef struct LatheSession LatheSession; /* A plan with its own arena. */
typedef struct LatheThreads LatheThreads; /* A pool that sessions may share. */

typedef enum LatheStatus {
  LATHE_OK = 0,
  LATHE_USAGE = 2,         /* The call makes no sense. */
  LATHE_INVALID_INPUT = 3, /* A file, value or shape is wrong or not there. */
  LATHE_UNSUPPORTED = 4,   /* Valid, but not for this build or this CPU. */
  LATHE_SYSTEM = 5,        /* No memory, no permission. */
  LATHE_INTERRUPTED = 130  /* LatheSessionStop was called. */
} LatheStatus;

/* The numbers are those of the .tflite format. */
typedef enum LatheType {
  LATHE_FLOAT32 = 0,
  LATHE_FLOAT16 = 1,
  LATHE_INT32 = 2,
  LATHE_UINT8 = 3,
  LATHE_INT64 = 4,
  LATHE_STRING = 5,
  LATHE_BOOL = 6,
  LATHE_INT16 = 7,
  LATHE_COMPLEX64 = 8,
  LATHE_INT8 = 9,
  LATHE_FLOAT64 = 10,
  LATHE_COMPLEX128 = 11,
  LATHE_UINT64 = 12,
  LATHE_RESOURCE = 13,
  LATHE_VARIANT = 14,
  LATHE_UINT32 = 15,
  LATHE_UINT16 = 16,
  LATHE_INT4 = 17,
  LATHE_BFLOAT16 = 18,
  LATHE_INT2 = 19,
  LATHE_UINT4 = 20
} LatheType;

/* --- Errors, version, machine ------------------------------------------- */

/* What went wrong in this thread's last call that did not return LATHE_OK:
 * which thing, what was found, what was allowed. "" if no call failed yet;
 * never null. Valid until this thread's next call that fails. Calls that
 * succeed leave it as it is. */
LATHE_C_EXPORT const char* LatheLastError(void);

/* "0.1.0". */
LATHE_C_EXPORT const char* LatheVersion(void);

/* "float32", "int8" ...; null for a number that is no LatheType. */
LATHE_C_EXPORT const char* LatheTypeName(int type);

/* The instruction sets that this build can use on this CPU, lowest first: the
 * names that LatheSessionOptions.isa takes. Null beyond the last. */
LATHE_C_EXPORT size_t LatheIsaCount(void);
LATHE_C_EXPORT const char* LatheIsaName(size_t index);

/* --- Threads -------------------------------------------------------------- */

/* A pool of `count` threads, the caller counted; 0: one per physical core this
 * process may use. Sessions that share it and run at the same time take turns.
 */
LATHE_C_EXPORT LatheStatus LatheThreadsCreate(int count,
                                              LatheThreads** threads);
LATHE_C_EXPORT int LatheThreadsCount(const LatheThreads* threads);
LATHE_C_EXPORT void LatheThreadsFree(LatheThreads* threads);

/* --- Tensors as they are described --------------------------------------- */

/* The pointers are valid as long as the object that was asked, and for a
 * session until its next Resize or Run. */
typedef struct LatheTensorInfo {
  size_t struct_size;
  const char* name;   /* The signature's name, else the tensor's own. */
  const char* tensor; /* The tensor's own name. */
  int32_t index;      /* Its number in the subgraph. */
  LatheType type;
  size_t rank;
  const int32_t* dims; /* `rank` entries. */
  /* Null, or `rank` entries with -1 where Resize may change them. */
  const int32_t* signature_dims;
  /* real = scale * (integer - zero point): no scales, one, or one per index of
   * `axis`. As many zero points as scales, or none: all are 0. */
  size_t scale_count;
  const float* scales;
  size_t zero_point_count;
  const int64_t* zero_points;
  int32_t axis;
  int is_constant; /* 1: an input whose value is stored in the file. */
} LatheTensorInfo;

/* --- Models ----------------------------------------------------------------
 */

typedef struct LatheModelOptions {
  size_t struct_size;
  /* Most bytes of arena and run-time tensors of one session; 0: 2 GiB. */
  uint64_t memory_limit_bytes;
  /* Passes to leave out, by name. */
  const char* const* skip_passes;
  size_t skip_pass_count;
} LatheModelOptions;

/* Maps and verifies a file. LATHE_INVALID_INPUT lists every problem of it;
 * LATHE_UNSUPPORTED every operator that this build cannot run. */
LATHE_C_EXPORT LatheStatus LatheModelOpen(const char* path,
                                          const LatheModelOptions* options,
                                          LatheModel** model);
/* The same for bytes, which are copied. `name` stands for the path in errors;
 * null: "model". */
LATHE_C_EXPORT LatheStatus
LatheModelFromMemory(const void* bytes, size_t size, const char* name,
                     const LatheModelOptions* options, LatheModel** model);
LATHE_C_EXPORT void LatheModelFree(LatheModel* model);

/* XXH3 of the file's bytes. */
LATHE_C_EXPORT LatheStatus LatheModelContentHash(const LatheModel* model,
                                                 uint64_t* hash);

/* At least one signature; a model that stores none has one with the key "". */
LATHE_C_EXPORT size_t LatheModelSignatureCount(const LatheModel* model);
LATHE_C_EXPORT const char* LatheModelSignatureKey(const LatheModel* model,
                                                  size_t signature);
LATHE_C_EXPORT size_t LatheModelInputCount(const LatheModel* model,
                                           size_t signature);
LATHE_C_EXPORT size_t LatheModelOutputCount(const LatheModel* model,
                                            size_t signature);
/* Shapes as they are stored. */
LATHE_C_EXPORT LatheStatus LatheModelInput(const LatheModel* model,
                                           size_t signature, size_t index,
                                           LatheTensorInfo* info);
LATHE_C_EXPORT LatheStatus LatheModelOutput(const LatheModel* model,
                                            size_t signature, size_t index,
                                            LatheTensorInfo* info);

/* --- Sessions --------------------------------------------------------------
 */

/* Called on the thread that runs, after each step, with its index and time.
 * Must not call the session, except LatheSessionStop. */
typedef void (*LatheOnStep)(void* data, size_t step, double milliseconds);

typedef struct LatheSessionOptions {
  size_t struct_size;
  const char* signature; /* Null or "": subgraph 0. */
  LatheThreads* threads; /* Null: a pool of the session's own. */
  const char* isa;       /* Nothing above this level; null: the best. */
  LatheOnStep on_step;   /* May be null. */
  void* on_step_data;
  int keep_all; /* 1: keep every tensor for LatheSessionTensorData. */
} LatheSessionOptions;

LATHE_C_EXPORT LatheStatus
LatheSessionCreate(const LatheModel* model, const LatheSessionOptions* options,
                   LatheSession** session);
LATHE_C_EXPORT void LatheSessionFree(LatheSession* session);

/* Shapes as they are now. */
LATHE_C_EXPORT size_t LatheSessionInputCount(const LatheSession* session);
LATHE_C_EXPORT size_t LatheSessionOutputCount(const LatheSession* session);
LATHE_C_EXPORT LatheStatus LatheSessionInput(const LatheSession* session,
                                             size_t index,
                                             LatheTensorInfo* info);
LATHE_C_EXPORT LatheStatus LatheSessionOutput(const LatheSession* session,
                                              size_t index,
                                              LatheTensorInfo* info);

/* In all that follows `name` is the name of an input or output, or "#2" by
 * position. */

/* The memory of an input, to be filled before Run; kept between runs, never
 * written by Run. Valid until Resize or Free. Errors: an unknown name, a stored
 * constant, strings. */
LATHE_C_EXPORT LatheStatus LatheSessionInputData(LatheSession* session,
                                                 const char* name, void** data,
                                                 size_t* bytes);
/* The memory of an output: defined after Run, until the next Run, Resize or
 * Free. */
LATHE_C_EXPORT LatheStatus LatheSessionOutputData(const LatheSession* session,
                                                  const char* name,
                                                  const void** data,
                                                  size_t* bytes);
/* Copies a value into an input. A stored constant takes its own value and no
 * other. */
LATHE_C_EXPORT LatheStatus LatheSessionSetInput(LatheSession* session,
                                                const char* name,
                                                const void* data, size_t bytes);
/* Strings of an input, row-major, as many as it has elements; copied.
 * `lengths` in bytes; null: they end at their first zero. */
LATHE_C_EXPORT LatheStatus LatheSessionSetStrings(LatheSession* session,
                                                  const char* name,
                                                  const char* const* strings,
                                                  const size_t* lengths,
                                                  size_t count);
/* The strings of an output or input, each with a zero behind it. Valid until
 * the session's next GetStrings or Free. `lengths` may be null. */
LATHE_C_EXPORT LatheStatus LatheSessionGetStrings(LatheSession* session,
                                                  const char* name,
                                                  const char* const** strings,
                                                  const size_t** lengths,
                                                  size_t* count);

/* Gives an input a new shape and plans again: inputs' contents are lost and
 * variables start anew. On an error the session stays as it was. */
LATHE_C_EXPORT LatheStatus LatheSessionResize(LatheSession* session,
                                              const char* name,
                                              const int32_t* dims, size_t rank);

/* Several inputs at once, where one alone would not fit the others. */
typedef struct LatheInputShape {
  const char* name;
  const int32_t* dims;
  size_t rank;
} LatheInputShape;
LATHE_C_EXPORT LatheStatus LatheSessionResizeAll(LatheSession* session,
                                                 const LatheInputShape* shapes,
                                                 size_t count);

/* Computes the outputs. */
LATHE_C_EXPORT LatheStatus LatheSessionRun(LatheSession* session);

/* Makes the run in progress, and every later one, return LATHE_INTERRUPTED
 * until ClearStop. May be called from any thread and from signal handlers. */
LATHE_C_EXPORT LatheStatus LatheSessionStop(LatheSession* session);
LATHE_C_EXPORT LatheStatus LatheSessionClearStop(LatheSession* session);

/* Variables and resources as they were before the first run. */
LATHE_C_EXPORT LatheStatus LatheSessionResetState(LatheSession* session);

/* With keep_all: the value of any tensor of the subgraph after Run, by
 * LatheTensorInfo.index. Null and 0 bytes for one that was never made. */
LATHE_C_EXPORT LatheStatus LatheSessionTensorData(const LatheSession* session,
                                                  int32_t index,
                                                  const void** data,
                                                  size_t* bytes);

/* The text is valid until the next Resize or Run. */
typedef struct LatheStepInfo {
  size_t struct_size;
  const char* name;   /* "CONV_2D", "layer_norm" ... */
  const char* tensor; /* Name of its first output. */
  const char* kernel; /* "conv_f32_6x64_avx512" ... */
  uint64_t flops;     /* Multiply and add count as two; 0: not counted. */
} LatheStepInfo;
LATHE_C_EXPORT size_t LatheSessionStepCount(const LatheSession* session);
LATHE_C_EXPORT LatheStatus LatheSessionStep(const LatheSession* session,
                                            size_t step, LatheStepInfo* info);

typedef struct LatheStats {
  size_t struct_size;
  uint64_t arena_bytes;  /* Activations and scratch. */
  uint64_t packed_bytes; /* Packed weights of the model so far. */
  size_t peak_step;      /* The step that needs the arena's full size. */
} LatheStats;
LATHE_C_EXPORT LatheStatus LatheSessionStats(const LatheSession* session,
                                             LatheStats* stats);

#ifdef __cplusplus
}
#endif

#endif /* LATHE_LATHE_H_ */
