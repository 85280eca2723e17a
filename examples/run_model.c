/* The smallest whole program in C: open a .tflite file, fill its inputs, run
 * it, read its outputs.
 *
 *   run_model_c MODEL.tflite
 */

#include <stdio.h>

#include "lathe/lathe.h"

static int Fail(LatheStatus status) {
  fprintf(stderr, "%s\n", LatheLastError());
  return (int)status;
}

static LatheStatus FillInputs(LatheSession* session) {
  size_t i, j;
  for (i = 0; i < LatheSessionInputCount(session); ++i) {
    LatheTensorInfo info = LATHE_INIT(LatheTensorInfo);
    void* data = NULL;
    size_t bytes = 0;
    LatheStatus status = LatheSessionInput(session, i, &info);
    if (status != LATHE_OK) return status;
    if (info.type != LATHE_FLOAT32 || info.is_constant) continue;
    status = LatheSessionInputData(session, info.name, &data, &bytes);
    if (status != LATHE_OK) return status;
    for (j = 0; j < bytes / sizeof(float); ++j) ((float*)data)[j] = 0.5f;
    printf("input  %s: %lu values of 0.5\n", info.name,
           (unsigned long)(bytes / sizeof(float)));
  }
  return LATHE_OK;
}

static LatheStatus PrintOutputs(const LatheSession* session) {
  size_t i, j;
  for (i = 0; i < LatheSessionOutputCount(session); ++i) {
    LatheTensorInfo info = LATHE_INIT(LatheTensorInfo);
    const void* data = NULL;
    size_t bytes = 0;
    LatheStatus status = LatheSessionOutput(session, i, &info);
    if (status != LATHE_OK) return status;
    if (info.type != LATHE_FLOAT32) continue;
    status = LatheSessionOutputData(session, info.name, &data, &bytes);
    if (status != LATHE_OK) return status;
    printf("output %s: %lu values:", info.name,
           (unsigned long)(bytes / sizeof(float)));
    for (j = 0; j < 4 && j < bytes / sizeof(float); ++j) {
      printf(" %g", ((const float*)data)[j]);
    }
    printf("\n");
  }
  return LATHE_OK;
}

int main(int argc, char** argv) {
  LatheModel* model = NULL;
  LatheSession* session = NULL;
  LatheStatus status;
  if (argc != 2) {
    fprintf(stderr, "usage: run_model_c MODEL.tflite\n");
    return 2;
  }
  status = LatheModelOpen(argv[1], NULL, &model);
  if (status == LATHE_OK) status = LatheSessionCreate(model, NULL, &session);
  if (status == LATHE_OK) status = FillInputs(session);
  if (status == LATHE_OK) status = LatheSessionRun(session);
  if (status == LATHE_OK) status = PrintOutputs(session);
  if (status != LATHE_OK) Fail(status);
  LatheSessionFree(session);
  LatheModelFree(model);
  return (int)status;
}
