package ffi

// #include "wasmer_go.h"
import "C"

import "time"

// StartProfile begins the profile of all guests.
func StartProfile(period time.Duration) error {
	return err(C.wasmergo_profile_start(C.uint64_t(period)))
}

// ProfileTurn takes the samples that wait, and looks for new threads.
func ProfileTurn() { C.wasmergo_profile_turn() }

// StopProfile ends the profile: a stack whose frames are the places of samples, and samples, as in the header; nil if none
// was begun.
func StopProfile() *Decoder {
	bytes := C.wasmergo_profile_stop()
	if bytes.data == nil {
		return nil
	}
	return take(bytes)
}

// StartPerfMap writes the functions of all modules to a file, whose descriptor it takes over.
func StartPerfMap(file int) error { return err(C.wasmergo_perf_map_start(C.int(file))) }

// StopPerfMap writes no more.
func StopPerfMap() { C.wasmergo_perf_map_stop() }
