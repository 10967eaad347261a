package wasmer_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Many calls of a short function, for the price of one crossing to the guest.
func ExampleCallBatch() {
	instance, err := wasmer.NewInstance([]byte(`
		(module (func (export "distance") (param f64 f64) (result f64)
		  (f64.sqrt (f64.add (f64.mul (local.get 0) (local.get 0)) (f64.mul (local.get 1) (local.get 1))))))`))
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()
	distance, err := instance.Function("distance")
	if err != nil {
		log.Fatal(err)
	}
	points := []float64{3, 4, 5, 12, 8, 15}
	distances := make([]float64, len(points)/2)
	done, err := wasmer.CallBatch(context.Background(), distance, points, distances)
	fmt.Println(done, err, distances)
	// Output: 3 <nil> [5 13 17]
}

// Rows of values of several types, as CallRaw has them. The call that fails ends the batch.
func ExampleFunction_CallBatch() {
	instance, err := wasmer.NewInstance([]byte(`
		(module (func (export "divide") (param i64 i32) (result i64)
		  (i64.div_u (local.get 0) (i64.extend_i32_u (local.get 1)))))`))
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()
	divide, err := instance.Function("divide")
	if err != nil {
		log.Fatal(err)
	}
	rows := []uint64{1 << 40, 2, 100, 7, 1, 0, 9, 3}
	results := make([]uint64, 4)
	done, err := divide.CallBatch(context.Background(), rows, results)
	fmt.Println(done, results[:done], errors.Is(err, wasmer.TrapDivisionByZero))
	// Output: 2 [549755813888 14] true
}
