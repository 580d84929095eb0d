// What the tours of the libraries for Node.js share.
'use strict';

exports.port = Number(process.env.SLUICE_TOUR_PORT);

// The library, or exit status 77 when it is not there.
exports.library = (name) => {
    try {
        return require(name);
    } catch (error) {
        if (error.code !== 'MODULE_NOT_FOUND') throw error;
        console.log(`there is no ${name}: ${error.message.split('\n')[0]}`);
        process.exit(77);
    }
};

// Runs the parts one after the other; a library that keeps the process alive is no reason to stay.
exports.run = (parts, end) => {
    (async () => {
        for (const part of parts) {
            await part();
            console.log(part.name);
        }
        await end();
        process.exit(0);
    })().catch((error) => {
        console.error(error);
        process.exit(1);
    });
};
