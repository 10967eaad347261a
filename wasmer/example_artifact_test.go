package wasmer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

var answering = []byte(`(module (func (export "answer") (result i32) (i32.const 42)))`)

// Code is compiled on one machine, and mapped from a file on others. The key tells whose it is.
func ExampleEngine_DeserializeFile() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "artifacts")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	name := filepath.Join(folder, "answer.wasmer")

	config := wasmer.EngineConfig{ArtifactKey: []byte("known to both machines")}
	engine := wasmer.Must(wasmer.NewEngine(config))
	defer engine.Close()
	module := wasmer.Must(engine.Compile(ctx, answering))
	if err := module.SerializeTo(name); err != nil {
		log.Fatal(err)
	}

	loaded := wasmer.Must(engine.DeserializeFile(ctx, name))
	instance := wasmer.Must(loaded.Instantiate())
	fmt.Println(instance.Exports["answer"]())

	stranger := wasmer.Must(wasmer.NewEngine(wasmer.EngineConfig{ArtifactKey: []byte("known to others only")}))
	defer stranger.Close()
	_, err = stranger.DeserializeFile(ctx, name)
	fmt.Println(errors.Is(err, wasmer.ErrIncompatible))
	fmt.Println(err)
	// Output:
	// 42 <nil>
	// true
	// wasmer: incompatible artifact: deserialize: forged, or made with another key than EngineConfig.ArtifactKey
}

// Universal WebAssembly is the module with its code in a section: any engine runs it, and one that trusts it need not
// compile.
func ExampleModule_Embed() {
	ctx := context.Background()
	engine := wasmer.Must(wasmer.NewEngine(wasmer.EngineConfig{TrustEmbeddedCode: true}))
	defer engine.Close()
	wasm := wasmer.Must(wasmer.Wat2Wasm(string(answering)))
	universal := wasmer.Must(wasmer.Must(engine.Compile(ctx, wasm)).Embed(wasm))
	fmt.Println(bytes.HasPrefix(universal, wasm))

	compilations := engine.Stats().Compilations
	instance := wasmer.Must(wasmer.Must(engine.Compile(ctx, universal)).Instantiate())
	fmt.Println(instance.Exports["answer"]())
	fmt.Println(engine.Stats().Compilations - compilations)
	// Output:
	// true
	// 42 <nil>
	// 0
}

func ExampleInspectArtifact() {
	module := wasmer.Must(wasmer.Compile(answering))
	defer module.Close()
	info := wasmer.Must(wasmer.InspectArtifact(wasmer.Must(module.Serialize())))
	fmt.Println(info.Compiler == module.Engine().Compiler().String(), info.Version == wasmer.Version().String())
	// Output:
	// true true
}
