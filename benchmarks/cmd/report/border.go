package main

import "strings"

// borderTargets are those of calls, host calls and instances: of Cranelift, next to the best that the rivals have.
func borderTargets() []target {
	of := func(group, row string) key { return key{group, cranelift, row} }
	call := func(runtime, row string) key { return key{"Call", runtime, row} }
	list := []target{
		toRival("typed call", of("Call", "Typed"), call(wazero, "Call"), 0.9),
		toRival("typed call", of("Call", "Typed"), call(wasmtime, "Call"), 0.05),
		toRival("CallRaw", of("Call", "CallRaw"), call(wazero, "CallWithStack"), 2.6),
		toRival("CallRaw, stretch", of("Call", "CallRaw"), call(wazero, "CallWithStack"), 1.8),
		toRival("CallRaw", of("Call", "CallRaw"), yardstick, 1.9),
		toRival("CallRaw, stretch", of("Call", "CallRaw"), yardstick, 1.6),
		toRival("a call in a batch", of("Call", "CallBatch"), call(wazero, "CallWithStack"), 0.3),
		{"Exports[\"sum\"](5, 37): allocations", 2, false, allocations, medianOf(of("Call", "Exports"), allocsPerOp)},
		// 150 ns where wazero's Call takes 65.
		toRival("Exports[\"sum\"](5, 37)", of("Call", "Exports"), call(wazero, "Call"), 150.0/65),
		toRival("host call, typed", of("HostCall", "Host1"), key{"HostCall", wazero, "GoFunction"}, 1.8),
		toRival("host call, by reflection", of("HostCall", "Reflection"), key{"HostCall", wazero, "Reflection"}, 1.3),
		toRival("host call, by reflection with a converter", of("HostCall", "Func"), key{"HostCall", wazero, "Reflection"}, 0.5),
		toRival("queued host call", of("HostCall", "Queued"), key{"HostCall", wazero, "GoFunction"}, 0.3),
		{
			"host function of a plug-in", 10, false, nanoseconds,
			medianOf(of("HostCall", "Plugin"), perHostCall),
		},
		toRival("native host function", of("HostCall", "Native"), key{"HostCall", wazero, "GoFunction"}, 0.15),
		toRival("instantiate and close, one page", of("Instantiate", "one_page"), key{"Instantiate", wazero, "one_page"}, 0.1),
		toRival("instantiate and close, one page", of("Instantiate", "one_page"), key{"Instantiate", wasmtime, "one_page"}, 0.2),
		// 2 µs where an empty cgo call takes 30 ns.
		toRival("instantiate and close, one page", of("Instantiate", "one_page"), yardstick, 2000.0/30),
		{
			"pooled get, reset and put, one page touched", 1500, false, nanoseconds,
			medianOf(of("Instantiate", "touched_pooled"), perOp),
		},
		toRival("instantiate and close, 20 MiB of data", of("Instantiate", "data_20MiB"), key{"Instantiate", wazero, "data_20MiB"}, 0.02),
		{
			"instantiate and close: time of 1,000 exports / one", 1.3, false, times,
			ratioOf(of("Instantiate", "functions_1000_exports_1000"), of("Instantiate", "functions_1000_exports_1")),
		},
		faster("calls", 1.8),
		faster("instantiate", 1.6),
		fasterThanMachine("calls", 0.9),
		fasterThanMachine("instantiate", 0.8),
		toRival("string in, string out", of("Programs", "greet"), key{"Programs", wazero, "greet"}, 1),
		toRival("chatty program", of("Programs", "chatty"), key{"Programs", wazero, "chatty"}, 1),
		toRival("chatty program, native", of("Programs", "chatty_native"), key{"Programs", wazero, "chatty"}, 1),
		toRival("chatty program, queued", of("Programs", "chatty_queued"), key{"Programs", wazero, "chatty_emit"}, 1),
		toRival("an instance of a pool a request", of("Programs", "requests_pooled"), key{"Programs", wazero, "requests"}, 1),
		toRival("an instance a request", of("Programs", "requests"), key{"Programs", wazero, "requests"}, 1),
	}
	return list
}

// toRival limits the time of a row in that of a rival's row.
func toRival(what string, row, rival key, limit float64) target {
	reference := strings.TrimSuffix(rival.runtime, "-compiler")
	if rival.row != "" && rival.row != row.row {
		reference += " " + rival.row
	}
	return target{what + ": time Cranelift / " + reference, limit, false, times, func(r results) (float64, bool) {
		return r.ratio(row, rival, groupOf(row.group).unitOf(row, r), groupOf(rival.group).unitOf(rival, r))
	}}
}

// faster asks for the throughput of two goroutines in that of one.
func faster(operation string, limit float64) target {
	return target{operation + ": throughput of 2 goroutines / one", limit, true, times, func(r results) (float64, bool) {
		return scaling(r, cranelift, operation)
	}}
}

// fasterThanMachine asks for the same as a part of what the machine has to give: its second core may be half a core, or busy.
func fasterThanMachine(operation string, limit float64) target {
	what := operation + ": throughput of 2 goroutines / one, in that of arithmetic"
	return target{what, limit, true, times, func(r results) (float64, bool) {
		ours, ok := scaling(r, cranelift, operation)
		machines, okOfMachine := scaling(r, native, "arithmetic")
		if !ok || !okOfMachine || machines == 0 {
			return 0, false
		}
		return ours / machines, true
	}}
}

func scaling(r results, runtime, operation string) (float64, bool) {
	of := func(goroutines string) key { return key{"Goroutines", runtime, operation + "_" + goroutines} }
	return r.ratio(of("1"), of("2"), perCall, perCall)
}
