/* The app a device leaves the factory with: it has nothing to confirm. */
#include "app.h"

void app_main(void)
{
    hello("factory");
    stay();
}
